//! The paths of the HTTP cache, parsed once: `/cas/{hash}`, `/ac/{hash}` and `/cache/{key}`, each below the name of an
//! instance or below none. The first segment `cas`, `ac` or `cache` ends the instance's name. Knows nothing of what is
//! there.

use axum::http::Method;
use millrace_engine::error::{Error, Result};
use millrace_proto::digest::{Digest, DigestFunction};
use millrace_proto::instance_name::InstanceName;
use percent_encoding::percent_decode_str;

/// What a path means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachePath {
    /// In which instance.
    pub instance: InstanceName,
    /// What there.
    pub what: What,
}

/// What a path means in its instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A blob. HTTP paths say only the hash: the digest's size is 0 and means nothing.
    Blob(Digest),
    /// An action's result; the same holds for the digest.
    Action(Digest),
    /// A key of the client's own, with percent signs decoded; empty: the root of the keys.
    Key(Vec<u8>),
}

/// The tree that a path is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tree {
    /// Blobs by hash.
    Cas,
    /// Action results by the action's hash.
    Ac,
    /// Keys.
    Cache,
}

impl Tree {
    /// The tree of a path; None: it is none of the cache's.
    pub fn of(path: &str) -> Option<Self> {
        Some(split(path)?.1)
    }

    /// Its segment.
    pub fn segment(self) -> &'static str {
        match self {
            Self::Cas => "cas",
            Self::Ac => "ac",
            Self::Cache => "cache",
        }
    }
}

impl CachePath {
    /// What a request is about; None: it is not the cache's. `/cache` itself is a page of the web app for who reads it.
    pub fn of(method: &Method, path: &str) -> Option<Result<Self>> {
        let (instance, tree, rest) = split(path)?;
        let is_page = instance.is_empty() && matches!(*method, Method::GET | Method::HEAD);
        match tree {
            Tree::Cache if rest.is_empty() && is_page => None,
            Tree::Cas | Tree::Ac if rest.is_empty() => None,
            tree => Some(parse(instance, tree, rest)),
        }
    }
}

/// The instance's name, the tree, and what is in it.
fn split(path: &str) -> Option<(&str, Tree, &str)> {
    let mut at = 0;
    for segment in path.split('/') {
        let end = at + segment.len();
        if let Some(tree) = [Tree::Cas, Tree::Ac, Tree::Cache].into_iter().find(|tree| tree.segment() == segment) {
            let rest = path[end..].strip_prefix('/').unwrap_or("");
            return Some((path[..at].trim_matches('/'), tree, rest));
        }
        at = end + 1;
    }
    None
}

fn parse(instance: &str, tree: Tree, rest: &str) -> Result<CachePath> {
    let name = percent_decode_str(instance).decode_utf8();
    let name = name.map_err(|_| Error::invalid("instance_name", "is not UTF-8 once its percent signs are decoded"))?;
    let instance = InstanceName::parse(&name).map_err(|error| Error::invalid("path", error.to_string()))?;
    let what = match tree {
        Tree::Cas => What::Blob(hash(rest)?),
        Tree::Ac => What::Action(hash(rest)?),
        Tree::Cache => What::Key(percent_decode_str(rest).collect()),
    };
    Ok(CachePath { instance, what })
}

/// `{hash}`, or `{function}/{hash}`: the function must be named when the hash's length does not tell.
fn hash(rest: &str) -> Result<Digest> {
    let (function, hex) = match rest.split_once('/') {
        Some((segment, hex)) => {
            let function = DigestFunction::from_path_segment(segment);
            let unknown =
                || Error::invalid("path", format!("{segment:?} is no digest function; there are {}", known()));
            (function.ok_or_else(unknown)?, hex)
        }
        None => {
            let function = DigestFunction::infer(rest.len());
            let none = || Error::invalid("hash", format!("no digest function has hashes of {} hex digits", rest.len()));
            (function.ok_or_else(none)?, rest)
        }
    };
    Digest::parse(function, hex, 0).map_err(|error| {
        let message = error.to_string();
        Error::invalid("hash", message.strip_prefix("digest hash: ").unwrap_or(&message))
    })
}

fn known() -> String {
    DigestFunction::ALL.map(DigestFunction::path_segment).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn get(path: &str) -> Option<Result<CachePath>> {
        CachePath::of(&Method::GET, path)
    }

    fn good(path: &str) -> (String, What) {
        let found = get(path).unwrap_or_else(|| panic!("{path} is not the cache's")).expect(path);
        (found.instance.to_string(), found.what)
    }

    #[test]
    fn hashes_with_and_without_instance_and_function() {
        let sha = Digest::parse(DigestFunction::Sha256, HASH, 0).unwrap();
        let blake = Digest::parse(DigestFunction::Blake3, HASH, 0).unwrap();
        assert_eq!(good(&format!("/cas/{HASH}")), (String::new(), What::Blob(sha)));
        assert_eq!(good(&format!("/a/b%20c/cas/{HASH}")), ("a/b c".into(), What::Blob(sha)));
        assert_eq!(good(&format!("/cas/blake3/{HASH}")), (String::new(), What::Blob(blake)));
        assert_eq!(good(&format!("/x/ac/sha256/{HASH}")), ("x".into(), What::Action(sha)));
        let sha1 = Digest::of(DigestFunction::Sha1, b"");
        let What::Blob(found) = good(&format!("/cas/{}", sha1.hex())).1 else { panic!("no blob") };
        assert_eq!(found, sha1);
    }

    #[test]
    fn keys_are_all_the_rest() {
        assert_eq!(good("/cache/a/b/c"), (String::new(), What::Key(b"a/b/c".to_vec())));
        assert_eq!(good("/p/cache/cas/x"), ("p".into(), What::Key(b"cas/x".to_vec())));
        assert_eq!(good("/cache/a%2Fb%20"), (String::new(), What::Key(b"a/b ".to_vec())));
        assert_eq!(good("/p/cache"), ("p".into(), What::Key(Vec::new())));
        let put = CachePath::of(&Method::from_bytes(b"PROPFIND").unwrap(), "/cache/").unwrap().unwrap();
        assert_eq!(put.what, What::Key(Vec::new()));
    }

    #[test]
    fn pages_and_others_stay_what_they_are() {
        for path in ["/", "/cache", "/cache/", "/runs/7", "/cas", "/ac/", "/cached/x", "/assets/cas.js"] {
            assert!(get(path).is_none(), "{path}");
        }
    }

    #[test]
    fn what_looks_like_the_cache_and_is_wrong_is_told_so() {
        for (path, field) in [
            ("/cas/xyz", "hash"),
            (&*format!("/cas/{}", HASH.to_uppercase()), "hash"),
            (&format!("/cas/sha512/{HASH}"), "hash"),
            (&format!("/cas/sha257/{HASH}"), "path"),
            (&format!("/ac/{HASH}/more"), "path"),
            (&format!("/a//b/cas/{HASH}"), "path"),
            (&format!("/a/blobs/cas/{HASH}"), "path"),
            (&format!("/%ff/cas/{HASH}"), "instance_name"),
        ] {
            let error = get(path).expect(path).expect_err(path).to_string();
            assert!(error.starts_with(field), "{path}: {error}");
        }
    }
}
