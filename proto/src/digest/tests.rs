//! Digests against published hashes, and that no text makes the parser panic.

use proptest::prelude::*;

use super::*;

const ABC: [(DigestFunction, &str); 6] = [
    (DigestFunction::Sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    (DigestFunction::Blake3, "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"),
    (DigestFunction::Sha1, "a9993e364706816aba3e25717850c26c9cd0d89d"),
    (DigestFunction::Md5, "900150983cd24fb0d6963f7d28e17f72"),
    (
        DigestFunction::Sha384,
        "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
    ),
    (
        DigestFunction::Sha512,
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
    ),
];

#[test]
fn known_hashes() {
    for (function, hex) in ABC {
        let digest = Digest::of(function, b"abc");
        assert_eq!(digest.hex(), hex, "{function}");
        assert_eq!(digest.size(), 3);
        assert_eq!(Digest::parse(function, hex, 3), Ok(digest));
        assert_eq!(Digest::new(function, digest.hash(), 3), Ok(digest));
        let prefix = if function == DigestFunction::Blake3 { "blake3/" } else { "" };
        assert_eq!(digest.to_string(), format!("{prefix}{hex}/3"));
    }
}

#[test]
fn a_digest_is_small() {
    assert_eq!(size_of::<Digest>(), 80);
}

#[test]
fn the_empty_blob() {
    let sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(Digest::empty(DigestFunction::Sha256).hex(), sha256);
    for function in DigestFunction::ALL {
        assert!(Digest::empty(function).is_empty());
        assert_eq!(Digest::empty(function), Digest::of(function, b""));
        let other = Digest::of(function, b"x");
        assert!(!other.is_empty());
        assert!(!Digest::new(function, other.hash(), 0).unwrap().is_empty());
        assert!(!Digest::new(function, Digest::empty(function).hash(), 1).unwrap().is_empty());
    }
}

#[test]
fn functions_and_their_numbers() {
    for function in DigestFunction::ALL {
        assert_eq!(DigestFunction::from_wire(function.wire()), Ok(function));
        assert_eq!(DigestFunction::from_path_segment(function.path_segment()), Some(function));
        let inferred = if function == DigestFunction::Blake3 { DigestFunction::Sha256 } else { function };
        assert_eq!(DigestFunction::infer(function.hash_len() * 2), Some(inferred));
        assert_eq!(DigestFunction::from_wire_or_infer(0, function.hash_len() * 2), Ok(inferred));
        assert_eq!(DigestFunction::from_wire_or_infer(function.wire(), 7), Ok(function));
    }
    assert_eq!(DigestFunction::from_wire_or_infer(0, 7), Err(DigestError::Infer(7)));
    for number in [-1, 0, 4, 7, 8, 10, 99] {
        assert_eq!(DigestFunction::from_wire(number), Err(DigestError::Function(number.to_string())));
    }
}

#[test]
fn errors_say_what_is_wrong() {
    let (function, hex) = ABC[0];
    let say = |hex: &str, size| Digest::parse(function, hex, size).unwrap_err().to_string();
    assert_eq!(say(&hex[1..], 3), "digest hash: sha256 has 64 hex digits, not 63");
    assert_eq!(say(&hex.to_uppercase(), 3), "digest hash: upper case at position 0; hashes are lower-case hex");
    assert_eq!(say(&hex.replace('f', "g"), 3), "digest hash: no hex digit at position 7");
    assert_eq!(say(&hex.replacen("ba", "é", 1), 3), "digest hash: no hex digit at position 0");
    assert_eq!(say(hex, -1), "digest size_bytes: -1 is negative");
    let long = Digest::new(function, &[0; 33], 0).unwrap_err();
    assert_eq!(long.to_string(), "digest hash: sha256 has 32 bytes, not 33");
    assert_eq!(Digest::new(function, &[0; 32], u64::MAX), Err(DigestError::SizeLimit(u64::MAX)));
}

fn functions() -> impl Strategy<Value = DigestFunction> {
    prop::sample::select(&DigestFunction::ALL[..])
}

proptest! {
    #[test]
    fn what_is_written_is_read(function in functions(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let digest = Digest::of(function, &bytes);
        prop_assert_eq!(digest.size(), bytes.len() as u64);
        prop_assert_eq!(Digest::parse(function, &digest.hex(), digest.size_wire()), Ok(digest));
    }

    #[test]
    fn pieces_hash_like_the_whole(
        function in functions(),
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3000), 0..5),
    ) {
        let mut hasher = Hasher::new(function);
        for piece in &pieces {
            hasher.update(piece);
        }
        prop_assert_eq!(hasher.finish(), Digest::of(function, &pieces.concat()));
    }

    #[test]
    fn no_text_panics(function in functions(), hex in "\\PC{0,130}|[0-9a-fA-Fg]{32,128}", size in any::<i64>()) {
        if let Ok(digest) = Digest::parse(function, &hex, size) {
            prop_assert_eq!((digest.hex(), digest.size_wire()), (hex, size));
        }
    }
}
