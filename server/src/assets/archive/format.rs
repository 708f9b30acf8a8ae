//! Which archive it is, by what was said and by its first bytes, and what it is compressed with.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};

use super::{Out, Unreadable, tar, zip};

/// The most memory for unpacking xz, in KiB; `xz -9` needs 65 MiB.
const XZ_MEMORY_MAX_KIB: u32 = 128 * 1024;
/// The largest window of zstd, as a power of two: 128 MiB, as the zstd command has it.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;
/// Bytes of an archive besides those of its files: headers, and what rounds files up to blocks.
const OVERHEAD_BYTES: u64 = 1024 * 1024 * 1024;

/// What an archive was said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Nothing was said: its first bytes tell.
    Any,
    /// A zip file.
    Zip,
    /// A tar file, compressed or not.
    Tar,
    /// A tar file compressed with gzip, and so on.
    Gzip,
    /// Bzip2.
    Bzip2,
    /// Xz.
    Xz,
    /// Zstandard.
    Zstd,
}

impl Format {
    /// From a MIME type.
    pub fn of_type(mime: &str) -> Option<Self> {
        Some(match mime {
            "application/zip" | "application/x-zip" | "application/x-zip-compressed" | "application/java-archive" => {
                Self::Zip
            }
            "application/x-tar" | "application/tar" => Self::Tar,
            "application/gzip"
            | "application/x-gzip"
            | "application/x-gtar"
            | "application/x-tgz"
            | "application/tar+gzip"
            | "application/x-compressed-tar" => Self::Gzip,
            "application/x-bzip2"
            | "application/x-bzip"
            | "application/bzip2"
            | "application/x-bzip-compressed-tar" => Self::Bzip2,
            "application/x-xz" | "application/xz" | "application/x-xz-compressed-tar" => Self::Xz,
            "application/zstd" | "application/x-zstd" | "application/x-zstd-compressed-tar" => Self::Zstd,
            _ => return None,
        })
    }

    fn of_bytes(start: &[u8]) -> Self {
        match start {
            [b'P', b'K', 3 | 5, 4 | 6, ..] => Self::Zip,
            [0x1f, 0x8b, ..] => Self::Gzip,
            [b'B', b'Z', b'h', ..] => Self::Bzip2,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            _ => Self::Tar,
        }
    }
}

/// Reads an archive from end to end.
pub fn read(mut file: File, said: Format, max_bytes: u64, out: &Out) -> Result<(), Unreadable> {
    let mut start = [0; 8];
    let count = read_start(&mut file, &mut start)?;
    let found = Format::of_bytes(&start[..count]);
    let fits = said == Format::Any || said == found || (said == Format::Tar && found != Format::Zip);
    if !fits {
        return Err(Unreadable::Bad(format!(
            "it was said to be {said:?}, and it is {found:?} or nothing that is known"
        )));
    }
    let file = BufReader::with_capacity(128 * 1024, file);
    let counted = |reader| Counted { reader, left: max_bytes.saturating_add(OVERHEAD_BYTES), out };
    match found {
        Format::Zip => zip::read(file, out),
        Format::Gzip => tar::read(counted(Box::new(flate2::bufread::MultiGzDecoder::new(file))), out),
        Format::Bzip2 => tar::read(counted(Box::new(bzip2::bufread::MultiBzDecoder::new(file))), out),
        Format::Xz => {
            let decoder = lzma_rust2::XzReader::new_mem_limit(file, true, XZ_MEMORY_MAX_KIB);
            tar::read(counted(Box::new(decoder)), out)
        }
        Format::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(file)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
            tar::read(counted(Box::new(decoder)), out)
        }
        Format::Any | Format::Tar => tar::read(counted(Box::new(file)), out),
    }
}

fn read_start(file: &mut File, start: &mut [u8]) -> io::Result<usize> {
    let mut count = 0;
    while count < start.len() {
        match file.read(&mut start[count..])? {
            0 => break,
            some => count += some,
        }
    }
    file.rewind()?;
    Ok(count)
}

/// Ends a stream that unpacks to too much, or that nobody waits for, even where nothing of it is an entry.
pub struct Counted<'a> {
    reader: Box<dyn Read>,
    left: u64,
    out: &'a Out,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.out.0.is_closed() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let count = self.reader.read(buffer)?;
        self.left = self.left.checked_sub(count as u64).ok_or(io::ErrorKind::FileTooLarge)?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_type_and_by_their_first_bytes() {
        assert_eq!(Format::of_type("application/gzip"), Some(Format::Gzip));
        assert_eq!(Format::of_type("text/html"), None);
        assert_eq!(Format::of_bytes(b"PK\x03\x04"), Format::Zip);
        assert_eq!(Format::of_bytes(b"PK\x05\x06"), Format::Zip);
        assert_eq!(Format::of_bytes(b"\x1f\x8b\x08"), Format::Gzip);
        assert_eq!(Format::of_bytes(b""), Format::Tar);
    }
}
