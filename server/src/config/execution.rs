//! The settings of remote execution.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use millrace_engine::execution::{ConfiguredPlatform, ExecutionOptions, UnknownProperties};
use millrace_proto::platform_properties::{Properties, Property};
use serde::Deserialize;

/// How long a stream of operations says nothing at most, in milliseconds: clients give up after a minute without a word.
const KEEP_ALIVE_MS: u64 = 25_000;
/// The longest of any of these times, in seconds: a week.
const TIME_MAX_SECONDS: u32 = 604_800;
/// The most that `--execution-lost-max` may be.
const LOST_MAX: u32 = 100;
/// The most platforms.
const PLATFORMS_MAX: usize = 256;

/// What can be set, unresolved: in the file the table `[execution]`, where the names have no `execution_`.
#[derive(Clone, Debug, Default, Deserialize, clap::Args)]
#[serde(deny_unknown_fields, default)]
pub struct RawExecutionConfig {
    /// Execute nothing: only the remote cache is served
    #[arg(id = "execution_off", long = "no-execution", env = "MILLRACE_NO_EXECUTION")]
    pub off: bool,
    /// The longest timeout an action may ask for; more is refused, never cut [default: 3600]
    #[arg(long = "execution-timeout-max", env = "MILLRACE_EXECUTION_TIMEOUT_MAX", value_name = "SECONDS")]
    pub timeout_max: Option<u32>,
    /// How long a command may run when its action does not say [default: 1200]
    #[arg(long = "execution-timeout-default", env = "MILLRACE_EXECUTION_TIMEOUT_DEFAULT", value_name = "SECONDS")]
    pub timeout_default: Option<u32>,
    /// How long an action that no known runner could ever run waits for one, before it fails [default: 10]
    #[arg(long = "execution-unmatched-wait", env = "MILLRACE_EXECUTION_UNMATCHED_WAIT", value_name = "SECONDS")]
    pub unmatched_wait: Option<u32>,
    /// How long an action goes on after the last client that waited for it left [default: 60]
    #[arg(long = "execution-client-grace", env = "MILLRACE_EXECUTION_CLIENT_GRACE", value_name = "SECONDS")]
    pub client_grace: Option<u32>,
    /// How many runners may lose an action before it fails, at most 100 [default: 3]
    #[arg(long = "execution-lost-max", env = "MILLRACE_EXECUTION_LOST_MAX", value_name = "N")]
    pub lost_max: Option<u32>,
    /// What becomes of properties that no platform has: reject the action, or ignore them [default: reject]
    #[arg(
        long = "execution-unknown-properties",
        env = "MILLRACE_EXECUTION_UNKNOWN_PROPERTIES",
        value_name = "reject|ignore"
    )]
    pub unknown_properties: Option<Unknown>,
    /// A platform by name, with what it offers, tried in this order: linux=OSFamily=linux,ISA=*; may be repeated (in
    /// the variable separated by semicolons) [default: what the runners offer]
    #[arg(
        id = "execution_platforms",
        long = "execution-platform",
        env = "MILLRACE_EXECUTION_PLATFORMS",
        value_delimiter = ';',
        value_name = "NAME=PROPERTY=VALUE,..."
    )]
    pub platforms: Option<Vec<String>>,
}

/// What becomes of requested properties that no platform knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Unknown {
    /// The action can't run.
    #[default]
    Reject,
    /// The action runs as if it had not asked for them.
    Ignore,
}

/// The settings of remote execution.
#[derive(Clone, Debug)]
pub struct ExecutionConfig {
    /// Actions are executed at all.
    pub enabled: bool,
    /// How. The lease is that of jobs, whatever stands here.
    pub options: ExecutionOptions,
    /// How long a stream of operations says nothing at most.
    pub keep_alive: Duration,
}

impl RawExecutionConfig {
    /// Fills what is not set.
    pub fn or(self, other: Self) -> Self {
        Self {
            off: self.off || other.off,
            timeout_max: self.timeout_max.or(other.timeout_max),
            timeout_default: self.timeout_default.or(other.timeout_default),
            unmatched_wait: self.unmatched_wait.or(other.unmatched_wait),
            client_grace: self.client_grace.or(other.client_grace),
            lost_max: self.lost_max.or(other.lost_max),
            unknown_properties: self.unknown_properties.or(other.unknown_properties),
            platforms: self.platforms.or(other.platforms),
        }
    }

    /// Checks everything.
    pub fn resolve(self) -> Result<ExecutionConfig> {
        let default = ExecutionOptions::default();
        let timeout_max_ms = millis("timeout-max", self.timeout_max, 1)?.unwrap_or(default.timeout_max_ms);
        let timeout_default_ms = millis("timeout-default", self.timeout_default, 1)?;
        let timeout_default_ms = timeout_default_ms.unwrap_or(default.timeout_default_ms.min(timeout_max_ms));
        ensure!(
            timeout_default_ms <= timeout_max_ms,
            "--execution-timeout-default {} is more than --execution-timeout-max {}",
            timeout_default_ms / 1_000,
            timeout_max_ms / 1_000
        );
        let lost_max = self.lost_max.unwrap_or(default.lost_max);
        ensure!(lost_max <= LOST_MAX, "--execution-lost-max {lost_max} is more than {LOST_MAX}");
        let unmatched_wait_ms = millis("unmatched-wait", self.unmatched_wait, 0)?;
        let client_grace_ms = millis("client-grace", self.client_grace, 0)?;
        let options = ExecutionOptions {
            timeout_default_ms,
            timeout_max_ms,
            unmatched_wait_ms: unmatched_wait_ms.map_or(default.unmatched_wait_ms, |ms| ms as i64),
            client_grace_ms: client_grace_ms.map_or(default.client_grace_ms, |ms| ms as i64),
            lost_max,
            unknown_properties: match self.unknown_properties.unwrap_or_default() {
                Unknown::Reject => UnknownProperties::Reject,
                Unknown::Ignore => UnknownProperties::Ignore,
            },
            platforms: platforms(&self.platforms.unwrap_or_default())?,
            ..default
        };
        Ok(ExecutionConfig { enabled: !self.off, options, keep_alive: Duration::from_millis(KEEP_ALIVE_MS) })
    }
}

fn millis(flag: &str, given: Option<u32>, least: u32) -> Result<Option<u64>> {
    let Some(seconds) = given else { return Ok(None) };
    ensure!(
        (least..=TIME_MAX_SECONDS).contains(&seconds),
        "--execution-{flag} {seconds} is not between {least} and {TIME_MAX_SECONDS}"
    );
    Ok(Some(u64::from(seconds) * 1_000))
}

fn platforms(texts: &[String]) -> Result<Vec<ConfiguredPlatform>> {
    ensure!(
        texts.len() <= PLATFORMS_MAX,
        "--execution-platform: {} are more than the {PLATFORMS_MAX} there may be",
        texts.len()
    );
    let mut platforms: Vec<ConfiguredPlatform> = Vec::with_capacity(texts.len());
    for text in texts {
        let platform = platform(text)?;
        ensure!(
            platforms.iter().all(|one| one.name != platform.name),
            "--execution-platform: {:?} is there twice",
            platform.name
        );
        platforms.push(platform);
    }
    Ok(platforms)
}

/// `NAME=PROPERTY=VALUE,PROPERTY=VALUE`; only the name: a platform for what asks for nothing.
fn platform(text: &str) -> Result<ConfiguredPlatform> {
    let (name, offers) = text.split_once('=').unwrap_or((text, ""));
    let name = name.trim();
    if name.is_empty() || name.chars().any(char::is_control) {
        bail!("--execution-platform {text:?} is not NAME=PROPERTY=VALUE,...: it begins with the platform's name");
    }
    let pairs = offers.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    let properties: Vec<Property> = pairs
        .map(|pair| Property::parse(pair).with_context(|| format!("--execution-platform {text:?}")))
        .collect::<Result<_>>()?;
    let properties = Properties::checked(properties.into_iter().map(|one| (one.name, one.value)))
        .with_context(|| format!("--execution-platform {text:?}"))?;
    Ok(ConfiguredPlatform { name: name.to_owned(), properties })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(platforms: &[&str]) -> Result<ExecutionConfig> {
        let platforms = Some(platforms.iter().map(|text| (*text).to_owned()).collect());
        RawExecutionConfig { platforms, ..Default::default() }.resolve()
    }

    #[test]
    fn what_is_not_said_has_a_default() {
        let config = RawExecutionConfig::default().resolve().unwrap();
        assert!(config.enabled && config.options.platforms.is_empty());
        let options = config.options;
        assert_eq!((options.timeout_default_ms, options.timeout_max_ms), (1_200_000, 3_600_000), "as the flags say");
        assert_eq!((options.unmatched_wait_ms, options.client_grace_ms, options.lost_max), (10_000, 60_000, 3));
        assert_eq!(options.unknown_properties, UnknownProperties::Reject);
        let short = RawExecutionConfig { timeout_max: Some(60), ..Default::default() }.resolve().unwrap();
        assert_eq!(short.options.timeout_default_ms, 60_000, "the default is never over the maximum");
    }

    #[test]
    fn what_cannot_be_is_said_with_its_flag() {
        let raw = RawExecutionConfig { timeout_max: Some(10), timeout_default: Some(20), ..Default::default() };
        let error = raw.resolve().unwrap_err().to_string();
        assert!(error.contains("--execution-timeout-default 20") && error.contains("timeout-max 10"), "{error}");
        let raw = RawExecutionConfig { client_grace: Some(u32::MAX), ..Default::default() };
        assert!(raw.resolve().unwrap_err().to_string().contains("--execution-client-grace 4294967295"));
        let raw = RawExecutionConfig { lost_max: Some(101), ..Default::default() };
        assert!(raw.resolve().unwrap_err().to_string().contains("--execution-lost-max 101"));
    }

    #[test]
    fn platforms_have_names_and_properties_in_their_order() {
        let platforms = of(&["big=OSFamily=linux, max-cores=64", "any=container-image=docker://a=b", "plain"])
            .unwrap()
            .options
            .platforms;
        let shown: Vec<_> = platforms.iter().map(|one| (one.name.as_str(), one.properties.to_string())).collect();
        let wanted = [("big", "OSFamily=linux, max-cores=64"), ("any", "container-image=docker://a=b"), ("plain", "")];
        assert_eq!(shown, wanted.map(|(name, properties)| (name, properties.to_owned())), "values may have =");
        for (wrong, words) in [("=a=b", "name"), ("a=b", "name=value"), ("a==b", "name=value")] {
            let error = format!("{:#}", of(&[wrong]).unwrap_err());
            assert!(error.contains(words) && error.contains("--execution-platform"), "{error}");
        }
        assert!(of(&["a=x=1", "a=x=2"]).unwrap_err().to_string().contains("twice"));
    }

    #[test]
    fn the_file_has_the_same_names_without_the_prefix() {
        let text = "unknown_properties = \"ignore\"\nplatforms = [\"a=b=c\"]\ntimeout_max = 5\n";
        let raw: RawExecutionConfig = toml::from_str(text).unwrap();
        assert_eq!(raw.unknown_properties, Some(Unknown::Ignore));
        assert_eq!((raw.platforms.unwrap().len(), raw.timeout_max), (1, Some(5)));
        assert!(
            toml::from_str::<RawExecutionConfig>("timeout_mx = 5\n").unwrap_err().to_string().contains("timeout_mx")
        );
    }
}
