//! The key behind the names that log streams are written by: made at first start, kept in the data folder, readable by
//! its owner alone. Without it every write name of before is worth nothing.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::Path;

use anyhow::{Context, Result};

/// The file below the data folder.
const KEY_FILE: &str = "keys/log-streams.key";

/// Reads the key of a data folder; makes it first when there is none.
pub fn load_or_create(data: &Path) -> Result<[u8; 32]> {
    let path = data.join(KEY_FILE);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => create(&path)?,
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    bytes.try_into().map_err(|_| anyhow::anyhow!("{} is not a key of 32 bytes", path.display()))
}

/// Makes a key. It is written beside its place and linked there, so that two starts at once agree on one.
fn create(path: &Path) -> Result<Vec<u8>> {
    let folder = path.parent().context("the key file has a folder")?;
    fs::create_dir_all(folder)?;
    let fresh = folder.join(format!(".log-streams.{}", std::process::id()));
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&fresh)?;
    file.write_all(&rand::random::<[u8; 32]>())?;
    file.sync_all()?;
    let linked = fs::hard_link(&fresh, path);
    fs::remove_file(&fresh)?;
    match linked {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            Err(error).with_context(|| format!("cannot write {}", path.display()))
        }
        _ => Ok(fs::read(path)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_made_once_and_a_broken_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let key = load_or_create(folder.path()).unwrap();
        assert_eq!(load_or_create(folder.path()).unwrap(), key);
        assert_ne!(key, [0; 32]);
        fs::write(folder.path().join(KEY_FILE), "short").unwrap();
        assert!(load_or_create(folder.path()).unwrap_err().to_string().contains("32 bytes"));
    }
}
