//! One Directory message as the runner needs it: decoded, its names and digests checked. Knows nothing of other messages.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use buffa::MessageView as _;
use millrace_proto::digest::Digest;
use millrace_proto::reapi::{self, DirectoryView};

use super::names;
use crate::action::error::{ActionError, Result};
use crate::action::file_cache::Key;

/// The longest target of a symlink.
const TARGET_MAX_BYTES: usize = 4_095;

/// One level of a tree.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Folder {
    /// The files.
    pub files: Vec<File>,
    /// The folders: name and message.
    pub folders: Vec<(Box<str>, Digest)>,
    /// The symlinks.
    pub links: Vec<Link>,
    /// Of the folder itself.
    pub properties: Properties,
}

/// A file.
#[derive(Debug, PartialEq, Eq)]
pub struct File {
    /// Its name in the folder.
    pub name: Box<str>,
    /// What it is.
    pub key: Key,
    /// What else is asked of it.
    pub properties: Properties,
}

/// A symlink.
#[derive(Debug, PartialEq, Eq)]
pub struct Link {
    /// Its name in the folder.
    pub name: Box<str>,
    /// Where it points, as it was given.
    pub target: Box<str>,
    /// What else is asked of it.
    pub properties: Properties,
}

/// The properties that runners heed; a node without any is the rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    /// When it was changed last.
    pub mtime: Option<SystemTime>,
    /// Its mode bits.
    pub unix_mode: Option<u32>,
}

impl Folder {
    /// Reads a message that has this digest.
    pub fn decode(digest: &Digest, bytes: &[u8]) -> Result<Self> {
        let bad = |message: String| ActionError::invalid("input_root_digest", format!("blobs/{digest}: {message}"));
        let view = DirectoryView::decode_view(bytes).map_err(|error| bad(format!("not a Directory: {error}")))?;
        Self::of(digest, &view).map_err(bad)
    }

    /// About how much memory it takes.
    pub fn memory_bytes(&self) -> usize {
        let files = self.files.iter().map(|file| size_of::<File>() + file.name.len());
        let folders = self.folders.iter().map(|(name, _)| size_of::<(Box<str>, Digest)>() + name.len());
        let links = self.links.iter().map(|link| size_of::<Link>() + link.name.len() + link.target.len());
        size_of::<Self>() + size_of::<(Digest, usize)>() * 2 + files.chain(folders).chain(links).sum::<usize>()
    }

    fn of(digest: &Digest, view: &DirectoryView<'_>) -> std::result::Result<Self, String> {
        let mut names = Names::default();
        let function = digest.function();
        let parse = |name: &str, hash: Option<(&str, i64)>| {
            let (hash, size) = hash.ok_or_else(|| format!("{name:?}: it has no digest"))?;
            Digest::parse(function, hash, size).map_err(|error| format!("{name:?}: {error}"))
        };
        let mut folder = Self { files: Vec::with_capacity(view.files.len()), ..Self::default() };
        for file in &view.files {
            names.take(file.name)?;
            let digest = parse(file.name, file.digest.as_option().map(|digest| (digest.hash, digest.size_bytes)))?;
            let key = Key { digest, executable: file.is_executable };
            let properties = properties(file.node_properties.as_option(), file.name)?;
            folder.files.push(File { name: file.name.into(), key, properties });
        }
        for child in &view.directories {
            names.take(child.name)?;
            let digest = parse(child.name, child.digest.as_option().map(|digest| (digest.hash, digest.size_bytes)))?;
            folder.folders.push((child.name.into(), digest));
        }
        for link in &view.symlinks {
            names.take(link.name)?;
            if link.target.is_empty() || link.target.len() > TARGET_MAX_BYTES || link.target.contains('\0') {
                let limit = format!("1 to {TARGET_MAX_BYTES} bytes without a NUL");
                return Err(format!("{:?}: the symlink's target has to have {limit}", link.name));
            }
            let properties = properties(link.node_properties.as_option(), link.name)?;
            folder.links.push(Link { name: link.name.into(), target: link.target.into(), properties });
        }
        folder.properties = properties(view.node_properties.as_option(), ".")?;
        Ok(folder)
    }
}

#[derive(Default)]
struct Names(HashSet<String>);

impl Names {
    fn take(&mut self, name: &str) -> std::result::Result<(), String> {
        names::check(name).map_err(|why| format!("{name:?}: {why}"))?;
        if self.0.insert(names::folded(name)) {
            return Ok(());
        }
        Err(format!("{name:?}: the name is there twice{}", names::FOLDING))
    }
}

fn properties(
    properties: Option<&reapi::NodePropertiesView<'_>>,
    name: &str,
) -> std::result::Result<Properties, String> {
    let Some(properties) = properties else { return Ok(Properties::default()) };
    let mtime = match properties.mtime.as_option() {
        Some(time) => Some(timestamp(time.seconds, time.nanos).ok_or_else(|| format!("{name:?}: a bad mtime"))?),
        None => None,
    };
    let unix_mode = properties.unix_mode.as_option().map(|mode| mode.value & 0o7777);
    Ok(Properties { mtime, unix_mode })
}

fn timestamp(seconds: i64, nanos: i32) -> Option<SystemTime> {
    let nanos = u32::try_from(nanos).ok().filter(|nanos| *nanos < 1_000_000_000)?;
    let (whole, part) = (Duration::from_secs(seconds.unsigned_abs()), Duration::from_nanos(nanos.into()));
    let whole =
        if seconds < 0 { SystemTime::UNIX_EPOCH.checked_sub(whole) } else { SystemTime::UNIX_EPOCH.checked_add(whole) };
    whole?.checked_add(part)
}
