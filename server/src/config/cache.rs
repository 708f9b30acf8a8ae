//! The settings of the remote cache.

use anyhow::{Context, Result, bail, ensure};
use bytesize::ByteSize;
use millrace_proto::instance_name::InstanceName;
use serde::Deserialize;

use super::assets::{AssetConfig, RawAssetConfig};
use super::human::size;

/// How much the cache may keep when nothing is said, in bytes.
const LIMIT_DEFAULT_BYTES: u64 = 10 << 30;
/// The least a cache may be limited to, in bytes: one pack file and room to move.
const LIMIT_MIN_BYTES: u64 = 16_000_000;
/// How long what a client was told is there stays there at least, in seconds, when nothing is said.
const LEASE_DEFAULT_SECONDS: u32 = 60;

/// What can be set, unresolved: in the file the table `[cache]`, where the names have no `cache_`.
#[derive(Clone, Debug, Default, Deserialize, clap::Args)]
#[serde(deny_unknown_fields, default)]
pub struct RawCacheConfig {
    /// How much the remote cache may keep on disk: 10GB, 512MiB; 0: as much as there is room for [default: 10GiB]
    #[arg(long = "cache-limit", env = "MILLRACE_CACHE_LIMIT", value_name = "SIZE")]
    pub limit: Option<String>,
    /// The largest blob that is taken [default: half of the limit]
    #[arg(long = "cache-blob-max", env = "MILLRACE_CACHE_BLOB_MAX", value_name = "SIZE")]
    pub blob_max: Option<String>,
    /// How long a blob stays at least after a client was told that it is there, 0 to 86400 [default: 60]
    #[arg(
        id = "cache_lease_seconds",
        long = "cache-lease-seconds",
        env = "MILLRACE_CACHE_LEASE_SECONDS",
        value_name = "SECONDS"
    )]
    pub lease_seconds: Option<u32>,
    /// The only instance names there are [default: every name]
    #[arg(long = "cache-instances", env = "MILLRACE_CACHE_INSTANCES", value_delimiter = ',', value_name = "A,B/C")]
    pub instances: Option<Vec<String>>,
    /// Hash every blob again before it is served; checksums are always looked at
    #[arg(long = "cache-verify-reads", env = "MILLRACE_CACHE_VERIFY_READS")]
    pub verify_reads: bool,
    /// Compress on disk what shrinks, not only what came compressed
    #[arg(long = "cache-compress", env = "MILLRACE_CACHE_COMPRESS")]
    pub compress: bool,
    /// Take MD5 digests: they can be forged
    #[arg(long = "cache-md5", env = "MILLRACE_CACHE_MD5")]
    pub md5: bool,
    /// Take any bytes under `/ac/` by HTTP, not only action results: for ccache and its like
    #[arg(long = "cache-opaque-actions", env = "MILLRACE_CACHE_OPAQUE_ACTIONS")]
    pub opaque_actions: bool,
    /// Assets that are brought in.
    #[command(flatten)]
    #[serde(flatten)]
    pub assets: RawAssetConfig,
}

/// The settings of the remote cache.
#[derive(Clone, Debug)]
pub struct CacheConfig {
    /// The most bytes on disk; 0: no limit.
    pub limit_bytes: u64,
    /// The largest blob, in bytes.
    pub blob_max_bytes: u64,
    /// How long a blob stays after a client was told that it is there, in milliseconds.
    pub lease_ms: u64,
    /// The only instances there are; None: every name is one.
    pub instances: Option<Vec<InstanceName>>,
    /// Every blob is hashed before it is served.
    pub verify_reads: bool,
    /// What shrinks is compressed on disk.
    pub compress: bool,
    /// MD5 is a digest function.
    pub md5: bool,
    /// `/ac/` takes any bytes.
    pub opaque_actions: bool,
    /// Assets that are brought in.
    pub assets: AssetConfig,
}

impl RawCacheConfig {
    /// Fills what is not set.
    pub fn or(self, other: Self) -> Self {
        Self {
            limit: self.limit.or(other.limit),
            blob_max: self.blob_max.or(other.blob_max),
            lease_seconds: self.lease_seconds.or(other.lease_seconds),
            instances: self.instances.or(other.instances),
            verify_reads: self.verify_reads || other.verify_reads,
            compress: self.compress || other.compress,
            md5: self.md5 || other.md5,
            opaque_actions: self.opaque_actions || other.opaque_actions,
            assets: self.assets.or(other.assets),
        }
    }

    /// Checks everything.
    pub fn resolve(self) -> Result<CacheConfig> {
        let limit_bytes = size("--cache-limit", self.limit.as_deref())?.unwrap_or(LIMIT_DEFAULT_BYTES);
        if (1..LIMIT_MIN_BYTES).contains(&limit_bytes) {
            bail!("--cache-limit {} is less than {}", ByteSize(limit_bytes), ByteSize(LIMIT_MIN_BYTES));
        }
        let most = if limit_bytes == 0 { i64::MAX as u64 } else { limit_bytes };
        let blob_max_bytes = match size("--cache-blob-max", self.blob_max.as_deref())? {
            Some(bytes) => {
                ensure!(bytes > 0 && bytes <= most, "--cache-blob-max must be between 1 byte and the cache limit");
                bytes
            }
            None if limit_bytes == 0 => most,
            None => limit_bytes / 2,
        };
        let lease_seconds = self.lease_seconds.unwrap_or(LEASE_DEFAULT_SECONDS);
        ensure!(lease_seconds <= 86_400, "--cache-lease-seconds {lease_seconds} is not between 0 and 86400");
        let instances = self.instances.map(|names| names.iter().map(|name| instance(name)).collect()).transpose()?;
        Ok(CacheConfig {
            limit_bytes,
            blob_max_bytes,
            lease_ms: u64::from(lease_seconds) * 1_000,
            instances,
            verify_reads: self.verify_reads,
            compress: self.compress,
            md5: self.md5,
            opaque_actions: self.opaque_actions,
            assets: self.assets.resolve()?,
        })
    }
}

fn instance(name: &str) -> Result<InstanceName> {
    InstanceName::parse(name).with_context(|| format!("--cache-instances {name:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(text: &str) -> Result<CacheConfig> {
        RawCacheConfig { limit: Some(text.into()), ..Default::default() }.resolve()
    }

    #[test]
    fn sizes_have_units_and_a_least() {
        assert_eq!(RawCacheConfig::default().resolve().unwrap().limit_bytes, 10 << 30);
        assert_eq!(limit("512MiB").unwrap().limit_bytes, 512 << 20);
        assert_eq!(limit("1TB").unwrap().blob_max_bytes, 500_000_000_000);
        assert_eq!(limit("0").unwrap().blob_max_bytes, i64::MAX as u64);
        assert!(limit("1MB").unwrap_err().to_string().contains("less than"));
        let error = limit("ten").unwrap_err().to_string();
        assert!(error.contains("--cache-limit \"ten\"") && error.contains("GiB"), "{error}");
    }

    #[test]
    fn a_wrong_instance_name_is_said_with_its_flag() {
        let raw = RawCacheConfig { instances: Some(vec!["a/blobs".into()]), ..Default::default() };
        let error = format!("{:#}", raw.resolve().unwrap_err());
        assert!(error.contains("--cache-instances \"a/blobs\""), "{error}");
    }

    #[test]
    fn the_settings_of_assets_are_set_in_the_same_table_and_unknown_ones_are_said() {
        let raw: RawCacheConfig = toml::from_str("limit = \"1GB\"\nasset_allow = \"10.0.0.0/8\"\n").unwrap();
        assert_eq!(raw.assets.asset_allow.as_deref(), Some("10.0.0.0/8"));
        let error = toml::from_str::<RawCacheConfig>("asset_alow = \"x\"\n").unwrap_err().to_string();
        assert!(error.contains("asset_alow"), "{error}");
    }
}
