//! Zip, stored or deflated; links and executable bits where Unix wrote it.

use std::fs::File;
use std::io::{BufReader, Read};

use zip::ZipArchive;
use zip::result::ZipError;

use super::{Out, PATH_MAX_BYTES, Piece, Unreadable, text};

/// The bits of a Unix mode that tell what it is.
const TYPE_BITS: u32 = 0o170_000;
/// A plain file.
const TYPE_FILE: u32 = 0o100_000;

/// Reads a zip file.
pub fn read(file: BufReader<File>, out: &Out) -> Result<(), Unreadable> {
    let mut archive = ZipArchive::new(file)?;
    for index in 0..archive.len() {
        let entry = archive.by_index(index)?;
        // Some programs on Windows write their own separator.
        let path = text(entry.name_raw())?.replace('\\', "/");
        if entry.is_dir() || path.ends_with('/') {
            out.put(Piece::Folder { path })?;
        } else if entry.is_symlink() {
            let mut target = Vec::new();
            entry.take(PATH_MAX_BYTES).read_to_end(&mut target)?;
            out.put(Piece::Symlink { path, target: text(&target)? })?;
        } else {
            let mode = entry.unix_mode().unwrap_or(0);
            if !matches!(mode & TYPE_BITS, 0 | TYPE_FILE) {
                return Err(Unreadable::Bad(format!("the entry {path:?} is neither a file, nor a folder, nor a link")));
            }
            out.put(Piece::File { path, executable: mode & 0o111 != 0 })?;
            out.data(entry)?;
        }
    }
    Ok(())
}

impl From<ZipError> for Unreadable {
    fn from(error: ZipError) -> Self {
        match error {
            ZipError::Io(error) => error.into(),
            error => Self::Bad(format!("the archive can't be read: {error}")),
        }
    }
}
