//! What is masked in all logs whoever writes them: the secrets of the mask file, which is read again when it changes, and
//! those of the server's own settings. Knows nothing of how they are found.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use millrace_engine::logs::{LogRoom, mask_file_values};
use millrace_proto::mask_set::Refused;

/// How often the file is looked at, in milliseconds.
const LOOK_MS: u64 = 2_000;
/// The largest mask file.
const MASK_FILE_MAX_BYTES: u64 = 4 * 1024 * 1024;
/// So many values are named that can't be masked as they should; the others are counted.
const MASK_WARNINGS_MAX: usize = 20;

/// Fills the masks of a log room.
pub struct LogMaskFile {
    logs: Arc<LogRoom>,
    file: Option<PathBuf>,
    own: Vec<String>,
    /// The content that was read first.
    first: Seen,
}

/// What tells one content of a file from the next.
type Seen = Option<(SystemTime, u64)>;

impl LogMaskFile {
    /// Reads the file, if there is one; `own` are values besides it.
    pub fn open(logs: Arc<LogRoom>, file: Option<PathBuf>, own: Vec<String>) -> Result<Self> {
        let mut masks = Self { logs, file, own, first: None };
        masks.first = masks.seen();
        masks.read()?.iter().for_each(|warning| tracing::warn!("{warning}"));
        Ok(masks)
    }

    /// Looks at the file now and then, until the server stops.
    pub async fn keep_reading(&self, stopping: impl Future<Output = ()>) {
        if self.file.is_none() {
            return;
        }
        let mut stopping = std::pin::pin!(stopping);
        let mut every = tokio::time::interval(Duration::from_millis(LOOK_MS));
        let mut seen = self.first;
        loop {
            tokio::select! {
                _ = every.tick() => {}
                () = &mut stopping => return,
            }
            let now = self.seen();
            if now == seen {
                continue;
            }
            match self.read() {
                Ok(warnings) => {
                    tracing::info!("the mask file was read again");
                    for warning in &warnings {
                        tracing::warn!("{warning}");
                    }
                    seen = now;
                }
                // What was masked before still is.
                Err(error) => {
                    tracing::warn!(error = format!("{error:#}"), "the changed mask file can't be used yet");
                }
            }
        }
    }

    fn seen(&self) -> Seen {
        let meta = std::fs::metadata(self.file.as_ref()?).ok()?;
        Some((meta.modified().ok()?, meta.len()))
    }

    /// Reads the file and masks what is in it; answers what to say of values that can't be masked as they should. It names
    /// lines and limits, and never a value.
    fn read(&self) -> Result<Vec<String>> {
        let text = match &self.file {
            None => String::new(),
            Some(path) => {
                let what = || format!("--log-mask-file {}", path.display());
                let size = std::fs::metadata(path).with_context(what)?.len();
                ensure!(size <= MASK_FILE_MAX_BYTES, "{} has {size} bytes, over {MASK_FILE_MAX_BYTES}", what());
                std::fs::read_to_string(path).with_context(what)?
            }
        };
        let of_file: Vec<_> = mask_file_values(&text).collect();
        let values = self.own.iter().map(String::as_str).chain(of_file.iter().map(|value| value.value));
        let refused = self.logs.masks().replace(values);
        let mut warnings: Vec<String> = refused
            .iter()
            .take(MASK_WARNINGS_MAX)
            .map(|Refused { index, why }| match index.checked_sub(self.own.len()).and_then(|at| of_file.get(at)) {
                Some(value) => format!("--log-mask-file: line {}: the value {why}", value.line),
                None => format!("a secret of the server's own settings {why}"),
            })
            .collect();
        if let Some(more) = refused.len().checked_sub(MASK_WARNINGS_MAX).filter(|more| *more > 0) {
            warnings.push(format!("--log-mask-file: {more} more values are not masked, or not in all spellings"));
        }
        Ok(warnings)
    }
}

#[cfg(test)]
mod tests {
    use millrace_engine::clock::SystemClock;
    use millrace_engine::logs::LogLimits;
    use millrace_engine::logs::memory::MemoryLogs;

    use super::*;

    fn room() -> Arc<LogRoom> {
        Arc::new(LogRoom::new(Arc::new(MemoryLogs::default()), Arc::new(SystemClock), LogLimits::default()))
    }

    fn masked(logs: &LogRoom, text: &str) -> bool {
        logs.masks().current().is_some_and(|set| set.is_in(text.as_bytes()))
    }

    #[tokio::test]
    async fn is_read_again_when_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("masks");
        let error = format!("{:#}", LogMaskFile::open(room(), Some(path.clone()), vec![]).err().unwrap());
        assert!(error.contains("--log-mask-file") && error.contains("masks"), "{error}");
        std::fs::write(&path, "# secrets\nhunter2\n").unwrap();
        let logs = room();
        let file = LogMaskFile::open(Arc::clone(&logs), Some(path.clone()), vec!["own-token".into()]).unwrap();
        assert!(masked(&logs, "hunter2") && masked(&logs, "own-token") && !masked(&logs, "swordfish"));
        let reading = tokio::spawn(async move { file.keep_reading(std::future::pending()).await });
        std::fs::write(&path, "swordfish is long\n").unwrap();
        let changed = async {
            while !masked(&logs, "swordfish is long") {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_mins(1), changed).await.expect("it is read again");
        assert!(!masked(&logs, "hunter2") && masked(&logs, "own-token"));
        reading.abort();
    }

    #[test]
    fn what_is_not_masked_is_named_by_its_line_and_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("masks");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            LogMaskFile { logs: room(), file: Some(path.clone()), own: vec!["own-token".into()], first: None }
                .read()
                .unwrap()
        };
        assert_eq!(read("# fine\nhunter2\n"), Vec::<String>::new());
        let long = "0123456789".repeat(7_000);
        let warnings = read(&format!("# short, fine, long\nab\nhunter2\n\n{long}\n"));
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(warnings[0].contains("line 2:") && warnings[0].contains("fewer than 3 characters"), "{warnings:?}");
        assert!(warnings[1].contains("line 5:") && warnings[1].contains("longer than 65536 bytes"), "{warnings:?}");
        assert!(warnings.iter().all(|warning| !warning.contains("ab\n") && !warning.contains("0123456789")));
        // So many that their spellings are too much, and then that they are too many themselves.
        let many: String = (0..=10_000).map(|number| format!("secret-{number:05}\n")).collect();
        let warnings = read(&many);
        assert_eq!(warnings.len(), MASK_WARNINGS_MAX + 1);
        assert!(warnings[0].contains("line ") && warnings[0].contains("1048576 bytes"), "{warnings:?}");
        assert!(warnings[MASK_WARNINGS_MAX].contains(" more values"), "{warnings:?}");
    }

    #[test]
    fn without_a_file_there_may_be_values() {
        let logs = room();
        LogMaskFile::open(Arc::clone(&logs), None, vec![]).unwrap();
        assert!(logs.masks().current().is_none());
        LogMaskFile::open(Arc::clone(&logs), None, vec!["own-token".into()]).unwrap();
        assert!(masked(&logs, "own-token"));
    }
}
