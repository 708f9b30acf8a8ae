//! Opens a file beneath a folder without being led astray, and hashes it. Knows nothing of what it is for.

use std::fs::File;
use std::io::{self, Read};

use cap_std::fs::{Dir, OpenOptions};
use millrace_proto::digest::{Digest, DigestFunction, Hasher};

use super::content::Stamp;

/// How much is read at a time.
const BUFFER_BYTES: usize = 256 * 1024;

/// A file and its state. A symlink that leads elsewhere, or a pipe that was put there meanwhile, is an error.
pub fn open(root: &Dir, path: &str) -> io::Result<(File, Stamp)> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use cap_std::fs::OpenOptionsExt as _;
        use rustix::fs::OFlags;
        options.custom_flags((OFlags::NONBLOCK | OFlags::NOFOLLOW).bits() as i32);
    }
    let file = root.open_with(path, &options)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is no file any more"));
    }
    Ok((file.into_std(), Stamp::of(&metadata)))
}

/// The digest of a file from its start.
pub fn hash(mut file: &File, function: DigestFunction) -> io::Result<Digest> {
    let (mut hasher, mut buffer) = (Hasher::new(function), vec![0; BUFFER_BYTES]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finish()),
            count => hasher.update(&buffer[..count]),
        }
    }
}
