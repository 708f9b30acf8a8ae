//! The settings of the log room: how long logs are kept, and the limits of one log.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use millrace_engine::invocations::InvocationLimits;
use millrace_engine::logs::records::NAMED_LOGS_MAX;
use millrace_engine::logs::retention::Retention;
use millrace_engine::logs::{LOG_MAX_BYTES, LOG_RATE_BURST_BYTES, LOG_RATE_BYTES, LogLimits};
use serde::Deserialize;

use super::human::{duration_ms, size};

/// How long logs are kept when nothing is said, in milliseconds.
const AGE_DEFAULT_MS: u64 = 90 * 24 * 3_600_000;
/// How many bytes of a named log are kept when nothing is said.
const RECORDS_DEFAULT_BYTES: u64 = 1 << 30;
/// How long a log may be silent that nobody ends, in milliseconds, when nothing is said.
const ABANDONED_DEFAULT_MS: u64 = 7 * 24 * 3_600_000;
/// How long logs stay in the data folder before they go to the archive, in milliseconds, when nothing is said.
const ARCHIVE_AFTER_DEFAULT_MS: u64 = 7 * 24 * 3_600_000;
/// How often logs are looked through, in milliseconds, when nothing is said.
const SWEEP_DEFAULT_MS: u64 = 3_600_000;
/// The least time between two looks, in milliseconds.
const SWEEP_MIN_MS: u64 = 1_000;
/// The shortest silence of a log that counts as its end, in milliseconds.
const ABANDONED_MIN_MS: u64 = 60_000;
/// The least that one log may be limited to, in bytes.
const LOG_MAX_MIN_BYTES: u64 = 64 * 1024;
/// The least rate, in bytes a second: a call of the largest size must be through before its caller gives up.
const RATE_MIN_BYTES: u64 = 1 << 20;
/// A named log that is too long is shortened by so many bytes at a time.
const SEGMENT_BYTES: u64 = 64 << 20;
/// The most named logs that a project may be allowed.
const NAMED_LOGS_MOST: u64 = 1_000_000;
/// The most builds that are remembered.
const BUILDS_MAX: u32 = 1_000_000;

/// What can be set, unresolved: in the file the table `[logs]`, where the names have no `log_`.
#[derive(Clone, Debug, Default, Deserialize, clap::Args)]
#[serde(deny_unknown_fields, default)]
pub struct RawLogConfig {
    /// How long logs are kept after their end: 30d, 12h; 0: for ever [default: 90d]
    #[arg(id = "log_age", long = "log-age", env = "MILLRACE_LOG_AGE", value_name = "TIME")]
    pub age: Option<String>,
    /// How many runs, builds and streams of each project keep their logs, the newest of each kind; 0: all [default: 0]
    #[arg(id = "log_count", long = "log-count", env = "MILLRACE_LOG_COUNT", value_name = "N")]
    pub count: Option<u64>,
    /// How much the logs of each project may take on disk; the oldest go first; 0: no limit [default: 0]
    #[arg(id = "log_size", long = "log-size", env = "MILLRACE_LOG_SIZE", value_name = "SIZE")]
    pub size: Option<String>,
    /// How long records of named logs are kept; 0: for ever [default: as --log-age]
    #[arg(id = "log_records_age", long = "log-records-age", env = "MILLRACE_LOG_RECORDS_AGE", value_name = "TIME")]
    pub records_age: Option<String>,
    /// How much of each named log is kept; 0: all [default: 1GiB]
    #[arg(id = "log_records_size", long = "log-records-size", env = "MILLRACE_LOG_RECORDS_SIZE", value_name = "SIZE")]
    pub records_size: Option<String>,
    /// How many named logs a project may have, 1 to 1000000 [default: 10000]
    #[arg(id = "log_named_max", long = "log-named-max", env = "MILLRACE_LOG_NAMED_MAX", value_name = "N")]
    pub named_max: Option<u64>,
    /// How long builds that were told of by events are remembered [default: 30d]
    #[arg(id = "log_builds_age", long = "log-builds-age", env = "MILLRACE_LOG_BUILDS_AGE", value_name = "TIME")]
    pub builds_age: Option<String>,
    /// How many builds are remembered, 1 to 1000000 [default: 2000]
    #[arg(id = "log_builds_count", long = "log-builds-count", env = "MILLRACE_LOG_BUILDS_COUNT", value_name = "N")]
    pub builds_count: Option<u32>,
    /// A log that nobody ends is ended so long after its last byte, 1m or more [default: 7d]
    #[arg(id = "log_abandoned", long = "log-abandoned", env = "MILLRACE_LOG_ABANDONED", value_name = "TIME")]
    pub abandoned: Option<String>,
    /// How often to look for logs that are no longer to be kept, 1s or more [default: 1h]
    #[arg(id = "log_sweep", long = "log-sweep", env = "MILLRACE_LOG_SWEEP", value_name = "TIME")]
    pub sweep: Option<String>,
    /// How long one log may get, 64KiB or more; the rest is dropped, and the log says so [default: 4GiB]
    #[arg(id = "log_max", long = "log-max", env = "MILLRACE_LOG_MAX", value_name = "SIZE")]
    pub max: Option<String>,
    /// How fast one log may grow a second, 1MiB or more; its writer is slowed down; 0: no limit [default: 64MiB]
    #[arg(id = "log_rate", long = "log-rate", env = "MILLRACE_LOG_RATE", value_name = "SIZE")]
    pub rate: Option<String>,
    /// How much may come faster than that at once [default: 256MiB]
    #[arg(id = "log_burst", long = "log-burst", env = "MILLRACE_LOG_BURST", value_name = "SIZE")]
    pub burst: Option<String>,
    /// Another folder for old logs: a larger disk, a mounted bucket
    #[arg(id = "log_archive", long = "log-archive", env = "MILLRACE_LOG_ARCHIVE", value_name = "DIR")]
    pub archive: Option<PathBuf>,
    /// How long after their end logs go there [default: 7d]
    #[arg(
        id = "log_archive_after",
        long = "log-archive-after",
        env = "MILLRACE_LOG_ARCHIVE_AFTER",
        value_name = "TIME"
    )]
    pub archive_after: Option<String>,
    /// A file with secrets, one a line, that are masked in all logs; read again when it changes
    #[arg(id = "log_mask_file", long = "log-mask-file", env = "MILLRACE_LOG_MASK_FILE", value_name = "FILE")]
    pub mask_file: Option<PathBuf>,
}

/// The settings of the log room.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// How long logs are kept.
    pub retention: Retention,
    /// How often logs are looked through, in milliseconds.
    pub sweep_ms: u64,
    /// The limits of one log.
    pub limits: LogLimits,
    /// A named log that is too long is shortened by so many bytes at a time. Must stay the same for a data folder.
    pub segment_bytes: u64,
    /// Where old logs go.
    pub archive: Option<LogArchive>,
    /// Secrets that are masked in all logs.
    pub mask_file: Option<PathBuf>,
    /// How long builds are remembered.
    pub invocations: InvocationLimits,
}

/// Where old logs go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogArchive {
    /// The folder.
    pub folder: PathBuf,
    /// So long after their end, in milliseconds.
    pub after_ms: u64,
}

impl RawLogConfig {
    /// Fills what is not set.
    pub fn or(self, other: Self) -> Self {
        Self {
            age: self.age.or(other.age),
            count: self.count.or(other.count),
            size: self.size.or(other.size),
            records_age: self.records_age.or(other.records_age),
            records_size: self.records_size.or(other.records_size),
            named_max: self.named_max.or(other.named_max),
            builds_age: self.builds_age.or(other.builds_age),
            builds_count: self.builds_count.or(other.builds_count),
            abandoned: self.abandoned.or(other.abandoned),
            sweep: self.sweep.or(other.sweep),
            max: self.max.or(other.max),
            rate: self.rate.or(other.rate),
            burst: self.burst.or(other.burst),
            archive: self.archive.or(other.archive),
            archive_after: self.archive_after.or(other.archive_after),
            mask_file: self.mask_file.or(other.mask_file),
        }
    }

    /// Checks everything.
    pub fn resolve(self) -> Result<LogConfig> {
        let retention = self.retention()?;
        let limits = self.limits()?;
        let sweep_ms = duration_ms("--log-sweep", self.sweep.as_deref())?.unwrap_or(SWEEP_DEFAULT_MS);
        ensure!(sweep_ms >= SWEEP_MIN_MS, "--log-sweep is less than {SWEEP_MIN_MS} ms");
        let archive_after = duration_ms("--log-archive-after", self.archive_after.as_deref())?;
        ensure!(archive_after.is_none() || self.archive.is_some(), "--log-archive-after needs --log-archive");
        let after_ms = archive_after.unwrap_or(ARCHIVE_AFTER_DEFAULT_MS);
        let mut invocations = InvocationLimits::default();
        if let Some(ms) = duration_ms("--log-builds-age", self.builds_age.as_deref())? {
            ensure!(ms > 0, "--log-builds-age 0 is no time");
            invocations.kept_ms = ms as i64;
        }
        if let Some(count) = self.builds_count {
            ensure!((1..=BUILDS_MAX).contains(&count), "--log-builds-count {count} is not between 1 and {BUILDS_MAX}");
            invocations.kept_max = count;
        }
        Ok(LogConfig {
            retention,
            sweep_ms,
            limits,
            segment_bytes: SEGMENT_BYTES,
            archive: self.archive.map(|folder| LogArchive { folder, after_ms }),
            mask_file: self.mask_file,
            invocations,
        })
    }

    fn retention(&self) -> Result<Retention> {
        let age_ms = duration_ms("--log-age", self.age.as_deref())?.unwrap_or(AGE_DEFAULT_MS);
        let abandoned_ms = duration_ms("--log-abandoned", self.abandoned.as_deref())?.unwrap_or(ABANDONED_DEFAULT_MS);
        ensure!(abandoned_ms >= ABANDONED_MIN_MS, "--log-abandoned is less than {ABANDONED_MIN_MS} ms");
        Ok(Retention {
            age_ms,
            count: self.count.unwrap_or_default(),
            max_bytes: size("--log-size", self.size.as_deref())?.unwrap_or_default(),
            records_age_ms: duration_ms("--log-records-age", self.records_age.as_deref())?.unwrap_or(age_ms),
            records_max_bytes: size("--log-records-size", self.records_size.as_deref())?
                .unwrap_or(RECORDS_DEFAULT_BYTES),
            abandoned_ms,
        })
    }

    fn limits(&self) -> Result<LogLimits> {
        let log_max_bytes = size("--log-max", self.max.as_deref())?.unwrap_or(LOG_MAX_BYTES);
        ensure!(log_max_bytes >= LOG_MAX_MIN_BYTES, "--log-max {log_max_bytes} is less than {LOG_MAX_MIN_BYTES} bytes");
        let rate_bytes = size("--log-rate", self.rate.as_deref())?.unwrap_or(LOG_RATE_BYTES);
        ensure!(
            rate_bytes == 0 || rate_bytes >= RATE_MIN_BYTES,
            "--log-rate {rate_bytes} is less than {RATE_MIN_BYTES} bytes a second; 0 is no limit"
        );
        let rate_burst_bytes = size("--log-burst", self.burst.as_deref())?.unwrap_or(LOG_RATE_BURST_BYTES);
        ensure!(rate_burst_bytes > 0, "--log-burst 0 would let nothing through");
        let named_logs_max = self.named_max.unwrap_or(NAMED_LOGS_MAX);
        ensure!(
            (1..=NAMED_LOGS_MOST).contains(&named_logs_max),
            "--log-named-max {named_logs_max} is not between 1 and {NAMED_LOGS_MOST}"
        );
        Ok(LogLimits { log_max_bytes, rate_bytes, rate_burst_bytes, named_logs_max })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: u64 = 24 * 3_600_000;

    fn error(raw: RawLogConfig) -> String {
        format!("{:#}", raw.resolve().unwrap_err())
    }

    #[test]
    fn what_is_not_said_has_a_default() {
        let config = RawLogConfig::default().resolve().unwrap();
        let retention = config.retention;
        assert_eq!(
            (retention.age_ms, retention.records_age_ms, retention.abandoned_ms),
            (90 * DAY_MS, 90 * DAY_MS, 7 * DAY_MS)
        );
        assert_eq!((retention.count, retention.max_bytes, retention.records_max_bytes), (0, 0, 1 << 30));
        assert_eq!((config.limits.log_max_bytes, config.limits.rate_bytes), (4 << 30, 64 << 20));
        assert_eq!(config.limits.named_logs_max, 10_000);
        assert_eq!((config.sweep_ms, config.archive, config.mask_file), (3_600_000, None, None));
        assert_eq!((config.invocations.kept_ms, config.invocations.kept_max), (30 * DAY_MS as i64, 2_000));
    }

    #[test]
    fn records_are_as_old_as_logs_unless_told_otherwise() {
        let age = |records_age: Option<&str>| {
            let raw = RawLogConfig {
                age: Some("2d".into()),
                records_age: records_age.map(ToOwned::to_owned),
                ..Default::default()
            };
            raw.resolve().unwrap().retention.records_age_ms
        };
        assert_eq!((age(None), age(Some("0")), age(Some("1h"))), (2 * DAY_MS, 0, 3_600_000));
    }

    #[test]
    fn what_cannot_be_is_said_with_its_flag_and_limit() {
        let some = |text: &str| Some(text.to_owned());
        for (raw, words) in [
            (RawLogConfig { age: some("ten"), ..Default::default() }, ["--log-age \"ten\"", "d"]),
            (RawLogConfig { size: some("x"), ..Default::default() }, ["--log-size \"x\"", "GiB"]),
            (RawLogConfig { max: some("1KiB"), ..Default::default() }, ["--log-max 1024", "65536"]),
            (RawLogConfig { rate: some("1KiB"), ..Default::default() }, ["--log-rate 1024", "1048576"]),
            (RawLogConfig { burst: some("0"), ..Default::default() }, ["--log-burst", "nothing"]),
            (RawLogConfig { sweep: some("10ms"), ..Default::default() }, ["--log-sweep", "10ms"]),
            (RawLogConfig { sweep: some("0"), ..Default::default() }, ["--log-sweep", "1000"]),
            (RawLogConfig { abandoned: some("5s"), ..Default::default() }, ["--log-abandoned", "60000"]),
            (RawLogConfig { archive_after: some("1d"), ..Default::default() }, ["--log-archive-after", "needs"]),
            (RawLogConfig { named_max: Some(0), ..Default::default() }, ["--log-named-max 0", "1000000"]),
            (RawLogConfig { builds_count: Some(0), ..Default::default() }, ["--log-builds-count 0", "1000000"]),
            (RawLogConfig { builds_age: some("0"), ..Default::default() }, ["--log-builds-age", "no time"]),
        ] {
            let error = error(raw);
            assert!(words.iter().all(|word| error.contains(word)), "{error}");
        }
    }

    #[test]
    fn the_file_has_the_same_names_without_the_prefix() {
        let raw: RawLogConfig = toml::from_str("age = \"1w\"\narchive = \"/big\"\nmask_file = \"m\"\n").unwrap();
        let config = raw.resolve().unwrap();
        assert_eq!(config.retention.age_ms, 7 * DAY_MS);
        let archive = LogArchive { folder: "/big".into(), after_ms: 7 * DAY_MS };
        assert_eq!((config.archive, config.mask_file), (Some(archive), Some("m".into())));
        assert!(toml::from_str::<RawLogConfig>("agee = \"1d\"\n").unwrap_err().to_string().contains("agee"));
    }
}
