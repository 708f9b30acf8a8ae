//! The settings of fetched assets.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use bytesize::ByteSize;
use serde::Deserialize;

use crate::assets::AllowList;

/// The most bytes of a download when nothing is said.
const MAX_DEFAULT_BYTES: u64 = 4_000_000_000;
/// How long a download may take when nothing is said, in seconds.
const TIMEOUT_DEFAULT_SECONDS: u32 = 600;

/// What can be set, unresolved: in the file among the names of `[cache]`.
#[derive(Clone, Debug, Default, Deserialize, clap::Args)]
#[serde(default)]
pub struct RawAssetConfig {
    /// Bring in no assets from elsewhere: only those that were pushed are found
    #[arg(long, env = "MILLRACE_NO_ASSET_DOWNLOADS")]
    pub no_asset_downloads: bool,
    /// Networks, addresses and hosts that assets may be brought in from besides the public Internet
    #[arg(long, env = "MILLRACE_ASSET_ALLOW", value_name = "CIDR|HOST[:PORT],...")]
    pub asset_allow: Option<String>,
    /// The largest asset that is brought in, and the most that an archive unpacks to [default: 4GB]
    #[arg(long, env = "MILLRACE_ASSET_MAX", value_name = "SIZE")]
    pub asset_max: Option<String>,
    /// How long bringing in an asset may take, 1 to 86400 [default: 600]
    #[arg(long, env = "MILLRACE_ASSET_TIMEOUT_SECONDS", value_name = "SECONDS")]
    pub asset_timeout_seconds: Option<u32>,
}

/// The settings of fetched assets.
#[derive(Clone, Debug)]
pub struct AssetConfig {
    /// Whether assets are brought in from elsewhere.
    pub downloads: bool,
    /// From where, besides the public Internet.
    pub allow: AllowList,
    /// The most bytes of one.
    pub max_bytes: u64,
    /// How long it may take.
    pub timeout: Duration,
}

impl Default for AssetConfig {
    fn default() -> Self {
        Self {
            downloads: true,
            allow: AllowList::default(),
            max_bytes: MAX_DEFAULT_BYTES,
            timeout: Duration::from_secs(u64::from(TIMEOUT_DEFAULT_SECONDS)),
        }
    }
}

impl RawAssetConfig {
    /// Fills what is not set.
    pub fn or(self, other: Self) -> Self {
        Self {
            no_asset_downloads: self.no_asset_downloads || other.no_asset_downloads,
            asset_allow: self.asset_allow.or(other.asset_allow),
            asset_max: self.asset_max.or(other.asset_max),
            asset_timeout_seconds: self.asset_timeout_seconds.or(other.asset_timeout_seconds),
        }
    }

    /// Checks everything.
    pub fn resolve(self) -> Result<AssetConfig> {
        let max_bytes = match self.asset_max.as_deref().map(|text| (text, text.parse::<ByteSize>())) {
            None => MAX_DEFAULT_BYTES,
            Some((_, Ok(size))) if size.as_u64() > 0 => size.as_u64(),
            Some((text, _)) => bail!("--asset-max {text:?} is not a size like 500MB"),
        };
        let seconds = self.asset_timeout_seconds.unwrap_or(TIMEOUT_DEFAULT_SECONDS);
        ensure!((1..=86_400).contains(&seconds), "--asset-timeout-seconds {seconds} is not between 1 and 86400");
        Ok(AssetConfig {
            downloads: !self.no_asset_downloads,
            allow: AllowList::parse(self.asset_allow.as_deref().unwrap_or_default())?,
            max_bytes,
            timeout: Duration::from_secs(u64::from(seconds)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said_with_its_flag() {
        let of = |raw: RawAssetConfig| raw.resolve().map(|_| ()).unwrap_err().to_string();
        assert!(of(RawAssetConfig { asset_max: Some("x".into()), ..Default::default() }).contains("--asset-max"));
        assert!(of(RawAssetConfig { asset_max: Some("0".into()), ..Default::default() }).contains("--asset-max"));
        assert!(of(RawAssetConfig { asset_allow: Some("a b".into()), ..Default::default() }).contains("--asset-allow"));
        let raw = RawAssetConfig { asset_timeout_seconds: Some(0), ..Default::default() };
        assert!(of(raw).contains("--asset-timeout-seconds 0"));
        let good = RawAssetConfig { no_asset_downloads: true, ..Default::default() }.resolve().unwrap();
        assert!(!good.downloads && good.max_bytes == 4_000_000_000 && good.timeout.as_secs() == 600);
    }
}
