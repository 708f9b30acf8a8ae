//! Which headers go to which URI: `http_header:NAME` to all, `http_header_url:INDEX:NAME` to one, `bazel.auth_headers`
//! (JSON, URL to headers), and the user and password in a URI. Knows the qualifiers, not how requests are sent.

use std::collections::BTreeMap;

use base64::Engine as _;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use millrace_engine::assets::{Qualifiers, Violation};
use serde::Deserialize;
use url::Url;

/// Headers for every URI.
const HEADER: &str = "http_header:";
/// Headers for one URI.
const HEADER_URL: &str = "http_header_url:";
/// Credentials by URL.
const AUTH_HEADERS: &str = "bazel.auth_headers";
/// Headers that are this side's own business.
const OWN: [HeaderName; 10] = [
    header::HOST,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::TE,
    header::TRAILER,
    header::EXPECT,
    header::RANGE,
    header::ACCEPT_ENCODING,
];
/// Headers that may go along to another origin: nothing in them is secret.
const HARMLESS: [HeaderName; 3] = [header::ACCEPT, header::ACCEPT_LANGUAGE, header::USER_AGENT];

/// One value or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum Values {
    One(String),
    Many(Vec<String>),
}

/// Whether a qualifier is one of these.
pub fn is_header(name: &str) -> bool {
    name.starts_with(HEADER) || name.starts_with(HEADER_URL) || name == AUTH_HEADERS
}

/// The headers for one of the URIs.
pub fn headers_for(qualifiers: &Qualifiers, uris: &[String], index: usize) -> Result<HeaderMap, Violation> {
    let mut headers = HeaderMap::new();
    headers.insert(header::USER_AGENT, HeaderValue::from_static(concat!("millrace/", env!("CARGO_PKG_VERSION"))));
    headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
    // What the bytes are is told by their digest: they come as they are.
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if let Ok(url) = Url::parse(&uris[index])
        && (!url.username().is_empty() || url.password().is_some())
    {
        let decode = |text: &str| percent_decoded(text);
        let pair = format!("{}:{}", decode(url.username()), decode(url.password().unwrap_or_default()));
        let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
        put(&mut headers, "uris", "authorization", &format!("Basic {encoded}"))?;
    }
    if let Some(text) = qualifiers.get(AUTH_HEADERS) {
        let all: BTreeMap<String, BTreeMap<String, Values>> = serde_json::from_str(text)
            .map_err(|error| violation(&format!("{AUTH_HEADERS} is not JSON of URL to headers: {error}")))?;
        for (name, values) in all.into_iter().filter(|(url, _)| same_url(url, &uris[index])).flat_map(|(_, own)| own) {
            match values {
                Values::One(value) => put(&mut headers, AUTH_HEADERS, &name, &value)?,
                Values::Many(values) => {
                    for value in values {
                        put(&mut headers, AUTH_HEADERS, &name, &value)?;
                    }
                }
            }
        }
    }
    for (qualifier, value) in qualifiers.iter() {
        if let Some(name) = qualifier.strip_prefix(HEADER) {
            put(&mut headers, qualifier, name, value)?;
        }
    }
    for (qualifier, value) in qualifiers.iter() {
        let Some(rest) = qualifier.strip_prefix(HEADER_URL) else { continue };
        let (number, name) =
            rest.split_once(':').ok_or_else(|| violation(&format!("{qualifier:?} is not {HEADER_URL}INDEX:NAME")))?;
        let number: usize = number.parse().map_err(|_| violation(&format!("{qualifier:?}: {number:?} is no index")))?;
        if number >= uris.len() {
            return Err(violation(&format!("{qualifier:?}: there are {} URIs, the first is 0", uris.len())));
        }
        if number == index {
            put(&mut headers, qualifier, name, value)?;
        }
    }
    Ok(headers)
}

/// What of the headers may go along to another origin.
pub fn without_secrets(headers: &HeaderMap) -> HeaderMap {
    let keep = |name: &HeaderName| HARMLESS.contains(name) || name == header::ACCEPT_ENCODING;
    headers.iter().filter(|(name, _)| keep(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn put(headers: &mut HeaderMap, qualifier: &str, name: &str, value: &str) -> Result<(), Violation> {
    let wrong = |what: &str| violation(&format!("{qualifier:?}: {what}"));
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong("this is no name of a header"))?;
    if OWN.contains(&name) || name.as_str().starts_with("proxy-") {
        return Err(wrong(&format!("the header {name} can't be set")));
    }
    let mut value = HeaderValue::from_str(value).map_err(|_| wrong("the value has characters no header has"))?;
    value.set_sensitive(true);
    headers.insert(name, value);
    Ok(())
}

fn same_url(a: &str, b: &str) -> bool {
    a == b || matches!((Url::parse(a), Url::parse(b)), (Ok(a), Ok(b)) if a == b)
}

/// A user's name or password, whose special characters are written `%XX` in a URI.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = tail.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn violation(description: &str) -> Violation {
    Violation { field: "qualifiers".into(), description: description.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)], uris: &[&str], index: usize) -> Result<HeaderMap, String> {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let uris: Vec<String> = uris.iter().map(|uri| (*uri).to_owned()).collect();
        headers_for(&Qualifiers::new(pairs).unwrap(), &uris, index).map_err(|violation| violation.description)
    }

    #[test]
    fn each_uri_gets_its_own() {
        let auth = r#"{"https://a/x":{"Authorization":"for a"},"https://b/x":{"Authorization":["for b"],"X-B":["1"]}}"#;
        let pairs = [("http_header:X-All", "all"), ("http_header_url:1:X-One", "one"), ("bazel.auth_headers", auth)];
        let uris = ["https://a/x", "https://b/x", "https://u%40:p%2f@c/x"];
        let (a, b, c) = (
            headers(&pairs, &uris, 0).unwrap(),
            headers(&pairs, &uris, 1).unwrap(),
            headers(&pairs, &uris, 2).unwrap(),
        );
        assert_eq!((&a["authorization"], &b["authorization"]), (&"for a".parse().unwrap(), &"for b".parse().unwrap()));
        assert!(a["x-all"] == "all" && b["x-all"] == "all" && c["x-all"] == "all");
        assert!(!a.contains_key("x-one") && b["x-one"] == "one" && b["x-b"] == "1");
        assert_eq!(c["authorization"], "Basic dUA6cC8=");
        let kept = without_secrets(&b);
        assert!(!kept.contains_key("authorization") && !kept.contains_key("x-all") && kept.contains_key("user-agent"));
    }

    #[test]
    fn headers_that_cannot_be_are_refused() {
        for (name, value, part) in [
            ("http_header:Host", "x", "can't be set"),
            ("http_header:Content-Length", "1", "can't be set"),
            ("http_header:Proxy-Authorization", "1", "can't be set"),
            ("http_header:", "x", "no name of a header"),
            ("http_header:a b", "x", "no name of a header"),
            ("http_header:x", "a\r\nEvil: 1", "characters no header has"),
            ("http_header_url:x:y", "z", "no index"),
            ("http_header_url:1:y", "z", "there are 1 URIs"),
            ("http_header_url:y", "z", "is not http_header_url"),
            ("bazel.auth_headers", "[]", "is not JSON"),
        ] {
            let error = headers(&[(name, value)], &["https://a/x"], 0).unwrap_err();
            assert!(error.contains(part), "{name}: {error}");
        }
    }
}
