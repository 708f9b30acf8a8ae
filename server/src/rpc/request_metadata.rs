//! What build tools tell of a call in the header of `RequestMetadata`: for people, and to
//! be fair among builds.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use buffa::view::MessageView;
use connectrpc::RequestContext;
use millrace_engine::actions::Origin;
use millrace_engine::execution::ClientMetadata;
use millrace_proto::reapi::__buffa::view::{RequestMetadataView, ToolDetailsView};

/// The header. Its value is a message in base64.
const HEADER: &str = "build.bazel.remote.execution.v2.requestmetadata-bin";
/// How much of each word is kept, in bytes.
const WORD_MAX_BYTES: usize = 256;
/// With padding or without: both are sent.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What the call is for. Nothing, where the header is missing or is no such message; the first, where it comes twice.
pub fn origin(ctx: &RequestContext) -> Origin {
    let said =
        read(ctx, |metadata| Origin { mnemonic: word(metadata.action_mnemonic), target: word(metadata.target_id) });
    said.unwrap_or_default()
}

/// The same with who calls, for what is executed.
pub fn client(ctx: &RequestContext) -> ClientMetadata {
    let said = read(ctx, |metadata| ClientMetadata {
        invocation_id: word(metadata.tool_invocation_id),
        target: word(metadata.target_id),
        mnemonic: word(metadata.action_mnemonic),
        tool: metadata.tool_details.as_option().map(tool).unwrap_or_default(),
    });
    said.unwrap_or_default()
}

fn read<T>(ctx: &RequestContext, take: impl FnOnce(&RequestMetadataView<'_>) -> T) -> Option<T> {
    // Some clients join two headers to one.
    let first = ctx.header(HEADER)?.as_bytes().split(|byte| *byte == b',').next()?;
    let message = BASE64.decode(first).ok()?;
    RequestMetadataView::decode_view(&message).ok().map(|metadata| take(&metadata))
}

/// `bazel 8.0`.
fn tool(details: &ToolDetailsView<'_>) -> String {
    word(format!("{} {}", details.tool_name, details.tool_version).trim())
}

fn word(text: &str) -> String {
    text[..text.floor_char_boundary(WORD_MAX_BYTES)].to_owned()
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderName, HeaderValue};
    use buffa::Message;
    use millrace_proto::reapi::{RequestMetadata, ToolDetails};

    use super::*;

    fn of(values: &[String]) -> (String, String) {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(HeaderName::from_static(HEADER), HeaderValue::from_str(value).unwrap());
        }
        let origin = origin(&RequestContext::new(headers));
        (origin.mnemonic, origin.target)
    }

    #[test]
    fn it_is_read_whatever_its_padding_and_however_often_it_comes() {
        for target in ["//a:b", "//a:bc", "//a:bcd"] {
            let metadata = RequestMetadata {
                action_mnemonic: "CppCompile".into(),
                target_id: target.into(),
                ..Default::default()
            };
            let padded = base64::engine::general_purpose::STANDARD.encode(metadata.encode_to_vec());
            let bare = padded.trim_end_matches('=').to_owned();
            let wanted = ("CppCompile".to_owned(), target.to_owned());
            for values in [vec![padded.clone()], vec![bare.clone()], vec![padded.clone(), bare.clone()]] {
                assert_eq!(of(&values), wanted, "{values:?}");
            }
            assert_eq!(of(&[format!("{padded},{bare}")]), wanted);
        }
        for nonsense in ["", "%%%", "AAAA"] {
            assert_eq!(of(&[nonsense.to_owned()]), Default::default(), "{nonsense:?}");
        }
    }

    #[test]
    fn who_calls_is_known_by_its_invocation_and_its_tool() {
        let details = ToolDetails { tool_name: "bazel".into(), tool_version: "8.0".into(), ..Default::default() };
        let metadata = RequestMetadata {
            tool_details: details.into(),
            tool_invocation_id: "an invocation".into(),
            target_id: "//a:b".into(),
            action_mnemonic: "CppCompile".into(),
            ..Default::default()
        };
        let value = base64::engine::general_purpose::STANDARD.encode(metadata.encode_to_vec());
        let mut headers = HeaderMap::new();
        headers.append(HeaderName::from_static(HEADER), HeaderValue::from_str(&value).unwrap());
        let said = client(&RequestContext::new(headers));
        assert_eq!((said.invocation_id.as_str(), said.tool.as_str()), ("an invocation", "bazel 8.0"));
        assert_eq!((said.target.as_str(), said.mnemonic.as_str()), ("//a:b", "CppCompile"));
        assert!(client(&RequestContext::new(HeaderMap::new())).tool.is_empty());
    }

    #[test]
    fn long_words_are_cut_between_letters() {
        assert_eq!(word(&"ü".repeat(200)).len(), 256);
        assert_eq!(word(&format!("x{}", "ü".repeat(200))).len(), 255);
    }
}
