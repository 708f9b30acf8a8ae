//! Unpacks a frame of a sealed log. A damaged file may say anything of its lengths: they are compared with what there can be
//! before memory is taken for them.

use std::io;

use super::damaged;

/// What is in one zstd frame, at most `max_bytes`.
pub fn unpack(frame: &[u8], max_bytes: usize) -> io::Result<Vec<u8>> {
    let says = zstd::zstd_safe::get_frame_content_size(frame).ok().flatten();
    let Some(says) = says else { return Err(damaged("the header of its frame can't be read")) };
    match usize::try_from(says) {
        Ok(says) if says <= max_bytes => {
            zstd::bulk::decompress(frame, says).map_err(|error| damaged(&error.to_string()))
        }
        _ => Err(damaged(&format!("its frame is said to hold {says} bytes, the limit is {max_bytes}"))),
    }
}

/// The most bytes of a frame with so many in it.
pub fn packed_max_bytes(bytes: usize) -> usize {
    zstd::zstd_safe::compress_bound(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_frame_says_of_itself_is_not_believed() {
        let good = zstd::bulk::compress(&[7; 5000], 3).unwrap();
        assert_eq!(unpack(&good, 5000).unwrap(), [7; 5000]);
        let error = unpack(&good, 4999).unwrap_err().to_string();
        assert!(error.contains("5000 bytes") && error.contains("4999"), "{error}");
        // A magic, a descriptor (a single segment, its length in eight bytes), and 2^60 bytes to come.
        let mut bomb = vec![0x28, 0xB5, 0x2F, 0xFD, 0b1110_0000];
        bomb.extend((1_u64 << 60).to_le_bytes());
        let error = unpack(&bomb, 1 << 20).unwrap_err().to_string();
        assert!(error.contains(&(1_u64 << 60).to_string()), "{error}");
        for at in 0..9 {
            assert!(unpack(&good[..at.min(good.len())], 5000).is_err());
        }
    }
}
