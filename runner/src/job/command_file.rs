//! The files in which an action leaves outputs, variables, folders and a summary for what comes after it. Knows
//! nothing of what they are used for.

use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// The largest file of outputs or variables.
pub const COMMAND_FILE_MAX_BYTES: u64 = 1024 * 1024;
/// The largest summary; the rest is cut off.
pub const SUMMARY_MAX_BYTES: usize = 1024 * 1024;

/// The files of one action.
pub struct CommandFiles {
    folder: PathBuf,
}

impl CommandFiles {
    /// Makes them, empty.
    pub fn create(folder: PathBuf) -> std::io::Result<Self> {
        std::fs::create_dir_all(&folder)?;
        let files = Self { folder };
        for (_, path) in files.variables() {
            std::fs::write(path, b"")?;
        }
        Ok(files)
    }

    /// The variables that name them.
    pub fn variables(&self) -> [(&'static str, PathBuf); 4] {
        ["GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_PATH", "GITHUB_STEP_SUMMARY"].map(|name| (name, self.folder.join(name)))
    }

    /// `key=value` and `key<<END` entries of GITHUB_OUTPUT.
    pub fn outputs(&self) -> Result<Vec<(String, String)>, String> {
        self.entries("GITHUB_OUTPUT")
    }

    /// The same of GITHUB_ENV.
    pub fn environment(&self) -> Result<Vec<(String, String)>, String> {
        self.entries("GITHUB_ENV")
    }

    /// The folders in GITHUB_PATH.
    pub fn paths(&self) -> Result<Vec<String>, String> {
        let text = self.read("GITHUB_PATH")?;
        let folders = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(ToOwned::to_owned);
        let folders = folders.collect::<Vec<_>>();
        match folders.iter().find(|folder| std::env::join_paths([folder]).is_err()) {
            Some(folder) => Err(format!("GITHUB_PATH: `{folder}` cannot be in a PATH")),
            None => Ok(folders),
        }
    }

    /// The summary, and whether it was cut.
    pub fn summary(&self) -> (String, bool) {
        let mut bytes = Vec::new();
        if let Ok(file) = std::fs::File::open(self.folder.join("GITHUB_STEP_SUMMARY")) {
            // What could be read before an error is the summary.
            let _partly = file.take(SUMMARY_MAX_BYTES as u64 + 1).read_to_end(&mut bytes);
        }
        let cut = bytes.len() > SUMMARY_MAX_BYTES;
        bytes.truncate(SUMMARY_MAX_BYTES);
        let mut text = String::from_utf8_lossy(&bytes).into_owned();
        // A replaced half character is longer than it was.
        while text.len() > SUMMARY_MAX_BYTES {
            text.pop();
        }
        (text, cut)
    }

    fn entries(&self, name: &str) -> Result<Vec<(String, String)>, String> {
        parse(&self.read(name)?).map_err(|error| format!("{name}: {error}"))
    }

    fn read(&self, name: &str) -> Result<String, String> {
        let path = self.folder.join(name);
        read_limited(&path).map_err(|error| format!("{name}: {error}"))
    }
}

fn read_limited(path: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    match std::fs::File::open(path) {
        Ok(file) => file.take(COMMAND_FILE_MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?,
        // The action removed it: it has nothing to say.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(String::new()),
        Err(error) => return Err(error.to_string()),
    };
    if bytes.len() as u64 > COMMAND_FILE_MAX_BYTES {
        return Err(format!("over the limit of {COMMAND_FILE_MAX_BYTES} bytes"));
    }
    decode(bytes)
}

/// UTF-8, with or without a mark, and the UTF-16 that Windows PowerShell's `>>` writes.
fn decode(bytes: Vec<u8>) -> Result<String, String> {
    if let Some(rest) = bytes.strip_prefix(&[0xFF, 0xFE]) {
        let units = rest.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect::<Vec<_>>();
        return Ok(String::from_utf16_lossy(&units));
    }
    let bytes = bytes.strip_prefix(&[0xEF, 0xBB, 0xBF]).map(<[u8]>::to_vec).unwrap_or(bytes);
    String::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned())
}

fn parse(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut entries = Vec::new();
    let mut lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).enumerate();
    while let Some((at, line)) = lines.next() {
        if line.is_empty() {
            continue;
        }
        let number = at + 1;
        let equals = line.find('=');
        let heredoc = line.find("<<").filter(|at| equals.is_none_or(|equals| *at < equals));
        let (name, value) = if let Some(at) = heredoc {
            let (name, end) = (&line[..at], &line[at + 2..]);
            if end.is_empty() {
                return Err(format!("line {number}: nothing after `<<`"));
            }
            let mut value = Vec::new();
            loop {
                match lines.next() {
                    Some((_, line)) if line == end => break,
                    Some((_, line)) => value.push(line),
                    None => return Err(format!("line {number}: the closing `{end}` is missing")),
                }
            }
            (name, value.join("\n"))
        } else if let Some(at) = equals {
            (&line[..at], line[at + 1..].to_owned())
        } else {
            return Err(format!("line {number}: neither `name=value` nor `name<<END`"));
        };
        if name.is_empty() {
            return Err(format!("line {number}: the name is empty"));
        }
        entries.push((name.to_owned(), value));
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn both_forms() {
        let text = "a=1\n\nb<<EOF\nx=y\n\nz<<\nEOF\r\nc=\nd=<<e\n";
        let entries = parse(text).expect("parses");
        assert_eq!(entries, [pair("a", "1"), pair("b", "x=y\n\nz<<"), pair("c", ""), pair("d", "<<e")]);
        assert_eq!(parse(""), Ok(Vec::new()));
    }

    #[test]
    fn errors_name_the_line() {
        assert_eq!(parse("a=1\nnonsense"), Err("line 2: neither `name=value` nor `name<<END`".into()));
        assert_eq!(parse("a<<E\nx\n"), Err("line 1: the closing `E` is missing".into()));
        assert_eq!(parse("a<<\n"), Err("line 1: nothing after `<<`".into()));
        assert_eq!(parse("=x"), Err("line 1: the name is empty".into()));
    }

    #[test]
    fn marks_and_sixteen_bits() {
        assert_eq!(decode(b"\xEF\xBB\xBFa=1".to_vec()), Ok("a=1".into()));
        assert_eq!(decode(b"\xFF\xFEa\0=\0\xE4\0".to_vec()), Ok("a=ä".into()));
        assert!(decode(b"\xFF".to_vec()).is_err());
    }

    #[test]
    fn too_large_a_file_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = CommandFiles::create(folder.path().join("f")).expect("makes");
        std::fs::write(folder.path().join("f/GITHUB_OUTPUT"), vec![b'a'; COMMAND_FILE_MAX_BYTES as usize + 1])
            .expect("w");
        assert!(files.outputs().expect_err("too large").contains("limit"));
        std::fs::write(folder.path().join("f/GITHUB_STEP_SUMMARY"), "ä".repeat(SUMMARY_MAX_BYTES)).expect("writes");
        let (summary, cut) = files.summary();
        assert!(cut && summary.len() <= SUMMARY_MAX_BYTES);
    }
}
