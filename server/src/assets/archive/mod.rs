//! Archives on their way into a tree: one thread reads entry by entry, the tree takes them as fast as it can keep them.
//! What an entry may be is the tree's business; how archives are spelled is that of the files beside this one.

mod format;
mod tar;
mod zip;

use std::fs::File;
use std::io::{self, Read};

use bytes::Bytes;
use millrace_engine::assets::{Brought, Fault, TreeLanding, Upstream};
use millrace_engine::error::Error;
use tokio::sync::mpsc;

pub use format::Format;

/// How many pieces may wait for the tree.
const PIECES_MAX: usize = 16;
/// How large a piece of a file is, in bytes.
const PIECE_BYTES: usize = 128 * 1024;
/// The longest path or target that is looked at, in bytes.
const PATH_MAX_BYTES: u64 = 64 * 1024;

/// A piece of an archive.
pub enum Piece {
    /// A file begins.
    File { path: String, executable: bool },
    /// The file goes on.
    Data(Bytes),
    /// A symbolic link.
    Symlink { path: String, target: String },
    /// Another name for a file that came before.
    HardLink { path: String, target: String },
    /// A folder.
    Folder { path: String },
}

/// Why an archive is not read on.
pub enum Unreadable {
    /// It is not what it should be: for people.
    Bad(String),
    /// It has more bytes than it may.
    TooLarge,
    /// Nobody takes it any more.
    Gone,
}

/// Where the reading thread puts what it finds.
pub struct Out(mpsc::Sender<Piece>);

impl Out {
    fn put(&self, piece: Piece) -> Result<(), Unreadable> {
        self.0.blocking_send(piece).map_err(|_| Unreadable::Gone)
    }

    /// All bytes of the open file.
    fn data(&self, mut from: impl Read) -> Result<(), Unreadable> {
        let mut buffer = vec![0; PIECE_BYTES];
        loop {
            let count = match from.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            self.put(Piece::Data(Bytes::copy_from_slice(&buffer[..count])))?;
        }
    }
}

/// Unpacks an archive into a tree, of which the part below a path is kept.
pub async fn unpack(
    file: File,
    format: Format,
    mut tree: TreeLanding,
    below: &str,
    max_bytes: u64,
) -> Result<Brought, Fault> {
    let (sender, mut pieces) = mpsc::channel(PIECES_MAX);
    let reading = tokio::task::spawn_blocking(move || format::read(file, format, max_bytes, &Out(sender)));
    while let Some(piece) = pieces.recv().await {
        match piece {
            Piece::File { path, executable } => tree.file(&path, executable).await?,
            Piece::Data(data) => tree.data(data).await?,
            Piece::Symlink { path, target } => tree.symlink(&path, &target).await?,
            Piece::HardLink { path, target } => tree.hard_link(&path, &target).await?,
            Piece::Folder { path } => tree.folder(&path).await?,
        }
    }
    match reading.await.map_err(Error::internal)? {
        Ok(()) => tree.finish(below).await,
        Err(Unreadable::Bad(why)) => Err(Fault::upstream(Upstream::Aborted, why)),
        Err(Unreadable::TooLarge) => {
            let message = format!("it unpacks to more than {max_bytes} bytes, which is the limit");
            Err(Fault::upstream(Upstream::Exhausted, message))
        }
        Err(Unreadable::Gone) => Err(Error::internal("an archive's reader was left alone").into()),
    }
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Self {
        // The two that the counting reader makes.
        match error.kind() {
            io::ErrorKind::FileTooLarge => Self::TooLarge,
            io::ErrorKind::BrokenPipe => Self::Gone,
            _ => Self::Bad(format!("the archive can't be read: {error}")),
        }
    }
}

/// Names are text in Directory messages.
fn text(bytes: &[u8]) -> Result<String, Unreadable> {
    let shown = || format!("the name {:?} is not UTF-8", String::from_utf8_lossy(bytes));
    String::from_utf8(bytes.to_vec()).map_err(|_| Unreadable::Bad(shown()))
}
