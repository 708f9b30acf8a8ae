//! Names as clients write them, and as nobody should.

use proptest::prelude::*;

use super::*;
use crate::digest::DigestFunction;

const HASH: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn sha256() -> Digest {
    Digest::parse(DigestFunction::Sha256, HASH, 3).unwrap()
}

fn blake3() -> Digest {
    Digest::parse(DigestFunction::Blake3, HASH, 3).unwrap()
}

fn instance(name: &str) -> InstanceName {
    InstanceName::parse(name).unwrap()
}

fn read_blob(name: &str, instance_name: &str, digest: Digest, compressor: Compressor) {
    let expected = ReadName::Blob { instance: instance(instance_name), digest, compressor };
    assert_eq!(ReadName::parse(name), Ok(expected), "{name}");
}

fn write_blob(name: &str, instance_name: &str, uuid: &str, digest: Digest, compressor: Compressor) {
    let expected = WriteName::Blob { instance: instance(instance_name), uuid: uuid.into(), digest, compressor };
    assert_eq!(WriteName::parse(name), Ok(expected), "{name}");
}

fn read_error(name: &str) -> ResourceNameReason {
    ReadName::parse(name).expect_err(name).reason
}

fn write_error(name: &str) -> ResourceNameReason {
    WriteName::parse(name).expect_err(name).reason
}

#[test]
fn blobs_to_read() {
    use Compressor::{Brotli, Deflate, Identity, Zstd};
    read_blob(&format!("blobs/{HASH}/3"), "", sha256(), Identity);
    read_blob(&format!("/blobs/{HASH}/3"), "", sha256(), Identity);
    read_blob(&format!("main/blobs/{HASH}/3"), "main", sha256(), Identity);
    read_blob(&format!("a/b/c/blobs/{HASH}/3"), "a/b/c", sha256(), Identity);
    read_blob(&format!("a/logstreams/blobs/{HASH}/3"), "a/logstreams", sha256(), Identity);
    read_blob(&format!("zstd/blake3/blobs/{HASH}/3"), "zstd/blake3", sha256(), Identity);
    read_blob(&format!("main/blobs/blake3/{HASH}/3"), "main", blake3(), Identity);
    read_blob(&format!("main/compressed-blobs/zstd/{HASH}/3"), "main", sha256(), Zstd);
    read_blob(&format!("compressed-blobs/zstd/blake3/{HASH}/3"), "", blake3(), Zstd);
    read_blob(&format!("/compressed-blobs/deflate/{HASH}/3"), "", sha256(), Deflate);
    read_blob(&format!("compressed-blobs/brotli/{HASH}/3"), "", sha256(), Brotli);
    for function in DigestFunction::ALL {
        let digest = Digest::of(function, b"abc");
        read_blob(&format!("a/blobs/{digest}"), "a", digest, Identity);
    }
}

#[test]
fn blobs_to_write() {
    use Compressor::{Identity, Zstd};
    write_blob(&format!("uploads/u/blobs/{HASH}/3"), "", "u", sha256(), Identity);
    write_blob(&format!("/uploads/u/blobs/{HASH}/3"), "", "u", sha256(), Identity);
    write_blob(&format!("a/b/uploads/u/blobs/blake3/{HASH}/3"), "a/b", "u", blake3(), Identity);
    write_blob(&format!("a/uploads/u/compressed-blobs/zstd/{HASH}/3"), "a", "u", sha256(), Zstd);
    write_blob(&format!("a/uploads/u/compressed-blobs/zstd/blake3/{HASH}/3"), "a", "u", blake3(), Zstd);
    for ignored in ["x", "dir/file.o", "", "/", "uploads/u/blobs/x/y", "logstreams/i/t", "blobs", "4"] {
        write_blob(&format!("a/uploads/u/blobs/{HASH}/3/{ignored}"), "a", "u", sha256(), Identity);
        write_blob(&format!("a/uploads/u/compressed-blobs/zstd/{HASH}/3/{ignored}"), "a", "u", sha256(), Zstd);
    }
}

#[test]
fn logs() {
    for (name, parent) in [("a/b/logstreams/i", "a/b"), ("logstreams/i", ""), ("/logstreams/i", "")] {
        let expected = ReadName::Log { parent: instance(parent), id: "i".into() };
        assert_eq!(ReadName::parse(name), Ok(expected));
        let expected = WriteName::Log { parent: instance(parent), id: "i".into(), token: WriteToken::new("t") };
        assert_eq!(WriteName::parse(&format!("{name}/t")), Ok(expected));
    }
    assert_eq!(read_error("a/logstreams/i/t"), ResourceNameReason::LogWriteName);
    assert_eq!(write_error("a/logstreams/i"), ResourceNameReason::LogReadName);
    assert_eq!(read_error("a/logstreams/"), ResourceNameReason::Id("log id"));
    assert_eq!(write_error("a/logstreams/i/"), ResourceNameReason::Id("log write token"));
    assert!(matches!(read_error("blobs/logstreams/i"), ResourceNameReason::Instance(_)));
}

#[test]
fn a_write_token_is_shown_to_nobody() {
    let name = WriteName::parse("a/logstreams/i/secret").unwrap();
    assert_eq!(name.to_string(), "a/logstreams/i/secret");
    assert!(!format!("{name:?}").contains("secret"));
    for broken in ["a/logstreams/i/secret", "a//logstreams/i/secret", "logstreams/i/secret/more"] {
        let said = ReadName::parse(broken).unwrap_err().to_string();
        assert!(said.contains("logstreams/i/...") && !said.contains("secret"), "{said}");
    }
}

#[test]
fn garbage() {
    use ResourceNameReason::{Compressor, Digest, Instance, NoReadName, NoWriteName, Size};
    let long_instance = "x".repeat(257);
    for name in ["", "/", "//", "a", "blobs", "blobs/", "compressed-blobs/zstd", &format!("blobs/{HASH}")] {
        assert_eq!(read_error(name), NoReadName, "{name}");
        assert_eq!(write_error(name), NoWriteName, "{name}");
    }
    for name in [
        format!("blobs/{HASH}/3/more"),
        format!("blobs/sha256/{HASH}/3"),
        format!("compressed-blobs/zstd/{HASH}/3/"),
        format!("a/uploads/u/blobs/{HASH}/3"),
    ] {
        assert_eq!(read_error(&name), NoReadName, "{name}");
    }
    for name in ["uploads", "uploads/u", &format!("a/uploads/blobs/{HASH}/3"), &format!("blobs/{HASH}/3")] {
        assert_eq!(write_error(name), NoWriteName, "{name}");
    }
    for size in ["", "-1", "+3", "03", "00", "3 ", "x", "9223372036854775808", "99999999999999999999"] {
        assert_eq!(read_error(&format!("a/blobs/{HASH}/{size}")), Size, "{size}");
        assert_eq!(write_error(&format!("a/uploads/u/blobs/{HASH}/{size}")), Size, "{size}");
    }
    for compressor in ["identity", "ZSTD", "gzip", ""] {
        assert_eq!(read_error(&format!("compressed-blobs/{compressor}/{HASH}/3")), Compressor, "{compressor}");
    }
    for digest in [
        format!("{}/3", HASH.to_uppercase()),
        format!("{}/3", &HASH[1..]),
        format!("{}/3", HASH.replace('f', "x")),
        format!("sha256tree/{HASH}/3"),
        format!("blake3/{}/3", &HASH[1..]),
    ] {
        assert!(matches!(read_error(&format!("blobs/{digest}")), Digest(_)), "{digest}");
    }
    for instance in ["/a", "a/", "a//b", "//", "blobs", "a/actionResults", "a\nb", &long_instance] {
        assert!(matches!(read_error(&format!("{instance}/blobs/{HASH}/3")), Instance(_)), "{instance}");
    }
    assert_eq!(write_error(&format!("uploads//blobs/{HASH}/3")), ResourceNameReason::Id("upload uuid"));
}

#[test]
fn errors_show_the_name_and_what_was_expected() {
    let said = ReadName::parse("a/blobs/xyz/3").unwrap_err().to_string();
    assert_eq!(
        said,
        "resource_name \"a/blobs/xyz/3\": digest hash: no digest function was named, and none has hashes of 3 hex digits"
    );
    let said = WriteName::parse("a").unwrap_err().to_string();
    assert!(said.starts_with("resource_name \"a\": expected {instance}/uploads/{uuid}/blobs/{hash}/{size}"), "{said}");
    let long = ReadName::parse(&"é".repeat(5000)).unwrap_err();
    assert_eq!(long.reason, ResourceNameReason::TooLong(10_000));
    assert_eq!(long.shown, format!("{}...", "é".repeat(100)));
    assert_eq!(ReadName::parse(&format!("x{}", "é".repeat(200))).unwrap_err().shown.len(), 199 + 3);
}

fn digests() -> impl Strategy<Value = Digest> {
    (prop::sample::select(&DigestFunction::ALL[..]), any::<[u8; 64]>(), 0..=i64::MAX)
        .prop_map(|(function, hash, size)| Digest::new(function, &hash[..function.hash_len()], size as u64).unwrap())
}

fn instances() -> impl Strategy<Value = InstanceName> {
    prop::collection::vec("[a-z0-9._ é-]{1,8}|logstreams|zstd|blake3", 0..6)
        .prop_filter_map("reserved", |segments| InstanceName::parse(&segments.join("/")).ok())
}

fn compressors() -> impl Strategy<Value = Compressor> {
    prop::sample::select(&Compressor::ALL[..])
}

/// Names that look right from afar.
fn almost_names() -> impl Strategy<Value = String> {
    let segment = prop_oneof![
        Just(String::new()),
        prop::sample::select(vec!["blobs", "uploads", "compressed-blobs", "logstreams", "zstd", "blake3", HASH, "3"])
            .prop_map(str::to_owned),
        "\\PC{0,10}",
    ];
    prop::collection::vec(segment, 0..10).prop_map(|segments| segments.join("/"))
}

proptest! {
    #[test]
    fn read_names_come_back(parent in instances(), digest in digests(), compressor in compressors(), id in "[!-.0-~]{1,40}") {
        let blob = ReadName::Blob { instance: parent.clone(), digest, compressor };
        prop_assert_eq!(ReadName::parse(&blob.to_string()), Ok(blob));
        let log = ReadName::Log { parent, id };
        prop_assert_eq!(ReadName::parse(&log.to_string()), Ok(log));
    }

    #[test]
    fn write_names_come_back(
        parent in instances(),
        digest in digests(),
        compressor in compressors(),
        id in "[!-.0-~]{1,40}",
        ignored in "(/\\PC{0,9}){0,4}",
    ) {
        let blob = WriteName::Blob { instance: parent.clone(), uuid: id.clone(), digest, compressor };
        prop_assert_eq!(WriteName::parse(&format!("{blob}{ignored}")), Ok(blob));
        let log = WriteName::Log { parent, id, token: WriteToken::new("token") };
        prop_assert_eq!(WriteName::parse(&log.to_string()), Ok(log));
    }

    #[test]
    fn no_text_panics(name in prop_oneof![almost_names(), "\\PC{0,400}".boxed()]) {
        match ReadName::parse(&name) {
            Ok(read) => prop_assert_eq!(read.to_string(), name.strip_prefix('/').unwrap_or(&name)),
            Err(error) => prop_assert!(error.shown.len() <= RESOURCE_NAME_SHOWN_MAX_BYTES + 3),
        }
        if let Ok(write) = WriteName::parse(&name) {
            let shown = write.to_string();
            prop_assert!(name.strip_prefix('/').unwrap_or(&name).starts_with(&shown));
        }
    }
}
