//! What build tools tell of a call in the header of `RequestMetadata`: for people, never for decisions.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use buffa::view::MessageView;
use connectrpc::RequestContext;
use millrace_engine::actions::Origin;
use millrace_proto::reapi::__buffa::view::RequestMetadataView;

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
    let Some(value) = ctx.header(HEADER) else { return Origin::default() };
    // Some clients join two headers to one.
    let first = value.as_bytes().split(|byte| *byte == b',').next().unwrap_or_default();
    let Ok(message) = BASE64.decode(first) else { return Origin::default() };
    match RequestMetadataView::decode_view(&message) {
        Ok(metadata) => Origin { mnemonic: word(metadata.action_mnemonic), target: word(metadata.target_id) },
        Err(_) => Origin::default(),
    }
}

fn word(text: &str) -> String {
    text[..text.floor_char_boundary(WORD_MAX_BYTES)].to_owned()
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderName, HeaderValue};
    use buffa::Message;
    use millrace_proto::reapi::RequestMetadata;

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
    fn long_words_are_cut_between_letters() {
        assert_eq!(word(&"ü".repeat(200)).len(), 256);
        assert_eq!(word(&format!("x{}", "ü".repeat(200))).len(), 255);
    }
}
