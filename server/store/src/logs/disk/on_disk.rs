//! How a log is kept, by what is on the disk. A process that was killed may have left it there twice, as plain files and
//! sealed: then here is decided which of both is the log. It removes neither.

use std::io;
use std::sync::Arc;

use millrace_engine::logs::{LogHead, LogId};

use super::files::LogFiles;
use super::layout::Layout;
use super::name::{LogPath, Part};
use super::sealed::{FrameCache, SealedLog};

/// A log as it was found.
pub enum OnDisk {
    /// As one file.
    Sealed(SealedLog),
    /// As plain files.
    Plain(Arc<LogFiles>, LogHead),
}

/// Looks for a log; none if there is no such log. `InvalidData` if all there is of it is damaged.
///
/// Of a log that is there twice each of both should be whole and the same. If the sealed file is not, the plain files
/// are the log: they are removed last, when the sealed one is durable.
pub fn find(layout: &Layout, id: &LogId, frames: &Arc<FrameCache>) -> io::Result<Option<OnDisk>> {
    let path = layout.path(id);
    let sealed = open_sealed(layout, id, frames);
    if matches!(sealed, Ok(None)) {
        return Ok(LogFiles::open(&path, id)?.map(|(files, head)| OnDisk::Plain(Arc::new(files), head)));
    }
    if !is_plain(&path)? {
        return Ok(sealed?.map(OnDisk::Sealed));
    }
    let Some((files, head)) = LogFiles::open_whole(&path, id)? else { return Ok(sealed?.map(OnDisk::Sealed)) };
    match sealed.and_then(|sealed| sealed.map_or(Ok(None), |sealed| checked(sealed, Some(&head)).map(Some))) {
        Ok(Some(sealed)) => Ok(Some(OnDisk::Sealed(sealed))),
        Ok(None) => Ok(Some(OnDisk::Plain(Arc::new(files), head))),
        Err(error) => {
            tracing::error!(log = %id, %error, "a log's sealed file is damaged; its plain files are whole and are read");
            Ok(Some(OnDisk::Plain(Arc::new(files), head)))
        }
    }
}

/// Whether all that the journal says of a log is done, for it was sealed. Then its plain files, if they are there, may have
/// lost anything.
pub fn is_sealed(layout: &Layout, id: &LogId) -> io::Result<bool> {
    let path = layout.path(id);
    let sealed = open_sealed(layout, id, &Arc::default());
    let checked = match (sealed, is_plain(&path)?) {
        (Ok(None), _) => return Ok(false),
        (Ok(Some(_)), false) => return Ok(true),
        (Ok(Some(sealed)), true) => {
            let plain = LogFiles::open_whole(&path, id)?;
            checked(sealed, plain.as_ref().map(|(_, head)| head)).map(|_| ())
        }
        (Err(error), _) => Err(error),
    };
    if let Err(error) = &checked {
        tracing::error!(log = %id, %error, "a log's sealed file is damaged; what the journal has of it is done again");
    }
    Ok(checked.is_ok())
}

/// Whether there are plain files of it.
pub fn is_plain(path: &LogPath) -> io::Result<bool> {
    path.part(Part::Lines).try_exists()
}

/// The sealed file that can be opened, of both places where there may be one.
fn open_sealed(layout: &Layout, id: &LogId, frames: &Arc<FrameCache>) -> io::Result<Option<SealedLog>> {
    let mut damaged = None;
    for path in [Some(layout.path(id)), layout.archived(id)].into_iter().flatten() {
        match SealedLog::open(&path.sealed(), frames) {
            Ok(Some(log)) if log.id() == id => return Ok(Some(log)),
            Ok(Some(_)) => damaged = Some(invalid("it is another log's file".into())),
            Ok(None) => {}
            Err(error) => damaged = Some(error),
        }
    }
    damaged.map_or(Ok(None), Err)
}

/// The same, if all of it can be read and it is what the plain files say.
fn checked(sealed: SealedLog, plain: Option<&LogHead>) -> io::Result<SealedLog> {
    let head = sealed.head();
    if let Some(plain) = plain.filter(|plain| **plain != head) {
        let (lines, bytes) = (plain.lines, plain.bytes);
        let message =
            format!("it has {} lines, {} bytes; the plain files have {lines}, {bytes}", head.lines, head.bytes);
        return Err(invalid(message));
    }
    sealed.verify()?;
    Ok(sealed)
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}
