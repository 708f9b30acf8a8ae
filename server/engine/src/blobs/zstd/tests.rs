use proptest::prelude::*;

use super::*;

/// Text that compresses, and no two lines of it the same.
fn lines(len: usize) -> Vec<u8> {
    (0..).flat_map(|line: u32| format!("line {line} of a log\n").into_bytes()).take(len).collect()
}

/// Decodes in pieces of `piece` bytes, with `room` bytes of output at a time.
fn decode(data: &[u8], limit: u64, piece: usize, room: usize) -> Result<Vec<u8>, ZstdError> {
    let mut decoder = Decoder::new(limit);
    let (mut all, mut out) = (Vec::new(), Vec::with_capacity(room));
    for mut input in data.chunks(piece) {
        loop {
            out.clear();
            decoder.decode(&mut input, &mut out)?;
            all.extend_from_slice(&out);
            if out.len() < out.capacity() {
                break;
            }
        }
    }
    decoder.finish()?;
    assert_eq!(decoder.decoded(), all.len() as u64);
    Ok(all)
}

fn frame(data: &[u8]) -> Vec<u8> {
    compress(data).expect("compresses")
}

#[test]
fn there_and_back() {
    for len in [0, 1, 100, 4096, 300_000, 3_000_000] {
        let data = lines(len);
        let encoded = frame(&data);
        assert!(is_one_frame(&encoded, len as u64), "{len}");
        assert!(!is_one_frame(&encoded, len as u64 + 1));
        assert!(decompress(&encoded, len as u64).expect("decodes") == data, "{len}");
        for (piece, room) in [(1 << 20, 1 << 20), (7, 4096), (1000, 1), (1 << 20, len.max(1))] {
            if len < 10_000 || room > 1 {
                assert!(decode(&encoded, len as u64, piece, room).expect("decodes") == data, "{len} {piece} {room}");
            }
        }
    }
}

#[test]
fn a_stream_has_its_size_in_the_frame() {
    let data = lines(1_000_000);
    let mut encoder = Encoder::new(Some(data.len() as u64)).expect("makes");
    let mut encoded = Vec::new();
    for piece in data.chunks(99_999) {
        encoder.encode(piece, &mut encoded).expect("encodes");
    }
    encoder.finish(&mut encoded).expect("ends");
    assert!(is_one_frame(&encoded, data.len() as u64));
    assert!(decompress(&encoded, data.len() as u64).expect("decodes") == data);

    let mut short = Encoder::new(Some(10)).expect("makes");
    short.encode(b"nine byte", &mut Vec::new()).expect("encodes");
    assert!(short.finish(&mut Vec::new()).is_err(), "fewer bytes than announced");
}

#[test]
fn frames_one_many_empty_and_skippable() {
    let (one, two) = (frame(b"one"), frame(b"two"));
    let skippable = [&0x184D_2A50_u32.to_le_bytes()[..], &5_u32.to_le_bytes(), b"notes"].concat();
    let all = [&skippable[..], &one, &frame(b""), &skippable, &two, &skippable].concat();
    assert_eq!(decompress(&all, 6).expect("decodes"), &b"onetwo"[..]);
    for piece in 1..all.len() {
        assert_eq!(decode(&all, 6, piece, 2).expect("decodes"), b"onetwo");
    }
    assert!(!is_one_frame(&all, 6));
    assert_eq!(decompress(&frame(b""), 0).expect("decodes"), &b""[..]);
    assert!(decompress(&skippable, 0).expect("decodes").is_empty());
}

#[test]
fn trailing_garbage_and_missing_ends() {
    let good = frame(&lines(1000));
    for garbage in [&b"x"[..], b"garbage that is no frame", &[0; 64]] {
        assert!(decompress(&[&good, garbage].concat(), 1000).is_err(), "{garbage:?}");
    }
    for end in 1..good.len() {
        assert_eq!(decompress(&good[..end], 1000), Err(ZstdError::Truncated), "{end}");
    }
    assert!(matches!(decompress(b"plain text", 1000), Err(ZstdError::Broken(_))));
}

#[test]
fn a_bomb_stops_at_the_first_byte_over() {
    let bomb = frame(&vec![0; 50_000_000]);
    assert!(bomb.len() < 10_000);
    assert_eq!(decompress(&bomb, 1000), Err(ZstdError::TooLong(1000)));
    let mut decoder = Decoder::new(1000);
    let mut out = Vec::with_capacity(4096);
    assert_eq!(decoder.decode(&mut &bomb[..], &mut out), Err(ZstdError::TooLong(1000)));
    assert!(decoder.decoded() <= 4096, "no more than a buffer was decoded");
    assert_eq!(decompress(&frame(&[1; 1001]), 1000), Err(ZstdError::TooLong(1000)));
    assert_eq!(decompress(&frame(&[1; 1000]), 1000).expect("decodes").len(), 1000);
}

#[test]
fn headers_that_declare_gigabytes_take_no_memory() {
    // A frame of one segment: its window is its content, said to be 2 GiB.
    let one_segment = [&0xFD2F_B528_u32.to_le_bytes()[..], &[0b1010_0000], &0x8000_0000_u32.to_le_bytes()].concat();
    assert_eq!(decompress(&[&one_segment[..], &[1, 0, 0]].concat(), u64::MAX), Err(ZstdError::Window));
    // A window of 16 MiB, no content size.
    let window = [&0xFD2F_B528_u32.to_le_bytes()[..], &[0, (24 - 10) << 3], &[1, 0, 0]].concat();
    assert_eq!(decompress(&window, u64::MAX), Err(ZstdError::Window));
    // The largest that is served.
    let window = [&0xFD2F_B528_u32.to_le_bytes()[..], &[0, (23 - 10) << 3], &[1, 0, 0]].concat();
    assert_eq!(decompress(&window, u64::MAX), Ok(bytes::Bytes::new()));
    // A blob that is said to have 2^62 bytes.
    assert_eq!(decompress(&frame(b"small"), 1 << 62).expect("decodes"), &b"small"[..]);
}

#[test]
fn empty_frames_for_ever_end() {
    let padding = frame(b"").repeat(10_000);
    assert!(matches!(decompress(&padding, 10), Err(ZstdError::Padding(_))));
}

proptest! {
    #[test]
    fn garbage_never_panics_nor_grows(data in proptest::collection::vec(any::<u8>(), 0..4096), cut in 0..64_usize) {
        // As it is, behind a magic number, and as damage in the middle of a good frame.
        let framed = [&0xFD2F_B528_u32.to_le_bytes()[..], &data].concat();
        let mut damaged = frame(&lines(20_000));
        let start = damaged.len() * cut / 64;
        damaged.splice(start..(start + 3).min(damaged.len()), data.iter().copied());
        for garbage in [&data, &framed, &damaged] {
            if let Ok(decoded) = decompress(garbage, 50_000) {
                prop_assert!(decoded.len() <= 50_000);
            }
            let _ = decode(garbage, 50_000, 100, 1000);
            let _ = is_one_frame(garbage, 20_000);
        }
    }
}
