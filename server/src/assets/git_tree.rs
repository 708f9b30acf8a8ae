//! A commit's tree on its way into the blob room: names by `git ls-tree`, contents by `git cat-file`, nothing is checked
//! out. Knows git's own modes and no network.

use std::process::Stdio;

use bytes::Bytes;
use millrace_engine::assets::{Brought, Fault, Landing, TREE_ENTRIES_MAX, TreeLanding, Upstream};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use super::git_process::Git;
use super::sinks::disk;

/// How large a piece of a file is, in bytes.
const PIECE_BYTES: usize = 128 * 1024;

/// An entry of a tree.
struct Entry {
    mode: String,
    object: String,
    path: String,
}

/// Brings in the tree of a commit, or the part of it below a path.
pub async fn bring(git: &Git, commit: &str, landing: &Landing, max_bytes: u64, below: &str) -> Result<Brought, Fault> {
    let listed = git.run(&["ls-tree", "-r", "-t", "-z", "--full-tree", "--end-of-options", commit]).await?;
    let mut entries = Vec::new();
    for line in listed.split(|byte| *byte == 0).filter(|line| !line.is_empty()) {
        let entry = parse(line).ok_or_else(|| bad(&format!("{:?} is no entry", String::from_utf8_lossy(line))))?;
        if is_below(&entry.path, below) {
            entries.push(entry);
        }
        if entries.len() > TREE_ENTRIES_MAX {
            let message = format!("the tree has more than {TREE_ENTRIES_MAX} entries, which is the limit");
            return Err(Fault::upstream(Upstream::Exhausted, message));
        }
    }
    let mut tree = landing.tree(max_bytes);
    let mut running = git.start(&["cat-file", "--batch", "--buffer"], Stdio::piped())?;
    let mut stdin = running.child.stdin.take().ok_or_else(|| bad("no pipe"))?;
    let mut stdout = BufReader::new(running.child.stdout.take().ok_or_else(|| bad("no pipe"))?);
    let objects: Vec<String> =
        entries.iter().filter(|entry| is_blob(&entry.mode)).map(|entry| format!("{}\n", entry.object)).collect();
    let asking = async move {
        for object in objects {
            stdin.write_all(object.as_bytes()).await?;
        }
        stdin.shutdown().await
    };
    let taking = async {
        for entry in &entries {
            take(&mut tree, entry, &mut stdout).await?;
        }
        Ok::<_, Fault>(())
    };
    let (asked, ()) = tokio::try_join!(async { Ok(asking.await) }, taking)?;
    asked.map_err(disk)?;
    tree.finish(below).await
}

async fn take(tree: &mut TreeLanding, entry: &Entry, stdout: &mut (impl AsyncBufReadExt + Unpin)) -> Result<(), Fault> {
    match entry.mode.as_str() {
        // A submodule is what an empty folder is called that something else belongs in.
        "040000" | "160000" => tree.folder(&entry.path).await,
        "120000" => {
            let size = head(stdout).await?;
            let mut target = vec![0; usize::try_from(size).map_err(|_| bad("a link is too long"))?.min(PIECE_BYTES)];
            if target.len() as u64 != size {
                return Err(bad(&format!("the link {:?} is too long", entry.path)));
            }
            stdout.read_exact(&mut target).await.map_err(disk)?;
            end(stdout).await?;
            let target = String::from_utf8(target).map_err(|_| bad("the target of a link is not UTF-8"))?;
            tree.symlink(&entry.path, &target).await
        }
        mode if is_blob(mode) => {
            let mut left = head(stdout).await?;
            tree.file(&entry.path, mode == "100755").await?;
            while left > 0 {
                let mut piece = vec![0; left.min(PIECE_BYTES as u64) as usize];
                stdout.read_exact(&mut piece).await.map_err(disk)?;
                left -= piece.len() as u64;
                tree.data(Bytes::from(piece)).await?;
            }
            end(stdout).await
        }
        mode => Err(bad(&format!("the entry {:?} has the unknown mode {mode}", entry.path))),
    }
}

/// The size of the object that follows: `OBJECT blob SIZE`.
async fn head(stdout: &mut (impl AsyncBufReadExt + Unpin)) -> Result<u64, Fault> {
    let mut line = String::new();
    stdout.read_line(&mut line).await.map_err(disk)?;
    let mut words = line.split_ascii_whitespace();
    match (words.next(), words.next(), words.next().map(str::parse)) {
        (Some(_), Some("blob"), Some(Ok(size))) => Ok(size),
        _ => Err(bad(&format!("an object is not there: {:?}", line.trim()))),
    }
}

/// The line end after an object.
async fn end(stdout: &mut (impl AsyncReadExt + Unpin)) -> Result<(), Fault> {
    stdout.read_exact(&mut [0]).await.map(|_| ()).map_err(disk)
}

/// `MODE TYPE OBJECT<TAB>PATH`.
fn parse(line: &[u8]) -> Option<Entry> {
    let (info, path) = std::str::from_utf8(line).ok()?.split_once('\t')?;
    let mut words = info.split(' ');
    let (mode, _, object) = (words.next()?, words.next()?, words.next()?);
    Some(Entry { mode: mode.to_owned(), object: object.to_owned(), path: path.to_owned() })
}

fn is_blob(mode: &str) -> bool {
    matches!(mode, "100644" | "100664" | "100755" | "120000")
}

/// Whether an entry is on the way to a path or below it: the rest need not be read.
fn is_below(path: &str, below: &str) -> bool {
    let below = below.trim_end_matches('/');
    below.is_empty() || path == below || path.strip_prefix(below).is_some_and(|rest| rest.starts_with('/'))
}

fn bad(why: &str) -> Fault {
    Fault::upstream(Upstream::Aborted, format!("git: {why}"))
}
