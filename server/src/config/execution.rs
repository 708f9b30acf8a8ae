//! The settings of remote execution.

use anyhow::{Result, bail, ensure};
use serde::Deserialize;

/// How long a command may run when its Action does not say, in seconds.
const TIMEOUT_DEFAULT_SECONDS: u32 = 3_600;
/// The longest timeout that is taken when nothing is said, in seconds: a day.
const TIMEOUT_MAX_DEFAULT_SECONDS: u32 = 86_400;
/// How long what nobody could run waits for somebody who can, in seconds.
const UNMATCHED_WAIT_DEFAULT_SECONDS: u32 = 10;
/// How long an execution goes on after the last client left, in seconds.
const CLIENT_GRACE_DEFAULT_SECONDS: u32 = 60;
/// How many runners may lose an execution when nothing is said.
const LOST_MAX_DEFAULT: u32 = 3;
/// The longest of any of these times, in seconds: a week.
const TIME_MAX_SECONDS: u32 = 604_800;
/// The most platforms.
const PLATFORMS_MAX: usize = 256;
/// The most properties of one platform.
const PROPERTIES_MAX: usize = 64;

/// What can be set, unresolved: in the file the table `[execution]`, where the names have no `execution_`.
#[derive(Clone, Debug, Default, Deserialize, clap::Args)]
#[serde(deny_unknown_fields, default)]
pub struct RawExecutionConfig {
    /// Execute nothing: only the remote cache is served
    #[arg(id = "execution_off", long = "no-execution", env = "MILLRACE_NO_EXECUTION")]
    pub off: bool,
    /// The longest timeout an action may ask for; more is refused, never cut [default: 86400]
    #[arg(long = "execution-timeout-max", env = "MILLRACE_EXECUTION_TIMEOUT_MAX", value_name = "SECONDS")]
    pub timeout_max: Option<u32>,
    /// How long a command may run when its action does not say [default: 3600]
    #[arg(long = "execution-timeout-default", env = "MILLRACE_EXECUTION_TIMEOUT_DEFAULT", value_name = "SECONDS")]
    pub timeout_default: Option<u32>,
    /// How long an action that no known runner could ever run waits for one, before it fails [default: 10]
    #[arg(long = "execution-unmatched-wait", env = "MILLRACE_EXECUTION_UNMATCHED_WAIT", value_name = "SECONDS")]
    pub unmatched_wait: Option<u32>,
    /// How long an action goes on after the last client that waited for it left [default: 60]
    #[arg(long = "execution-client-grace", env = "MILLRACE_EXECUTION_CLIENT_GRACE", value_name = "SECONDS")]
    pub client_grace: Option<u32>,
    /// How many runners may lose an action before it fails, 1 to 100 [default: 3]
    #[arg(long = "execution-lost-max", env = "MILLRACE_EXECUTION_LOST_MAX", value_name = "N")]
    pub lost_max: Option<u32>,
    /// What becomes of properties that no platform has: reject the action, or ignore them [default: reject]
    #[arg(
        long = "execution-unknown-properties",
        env = "MILLRACE_EXECUTION_UNKNOWN_PROPERTIES",
        value_name = "reject|ignore"
    )]
    pub unknown_properties: Option<UnknownProperties>,
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
pub enum UnknownProperties {
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
    /// How long a command may run when its Action does not say, in milliseconds.
    pub timeout_default_ms: u64,
    /// The longest timeout that is taken, in milliseconds.
    pub timeout_max_ms: u64,
    /// How long what nobody could run is kept, in milliseconds.
    pub unmatched_wait_ms: i64,
    /// How long an execution goes on without a client, in milliseconds.
    pub client_grace_ms: i64,
    /// How many runners may lose an execution.
    pub lost_max: u32,
    /// What becomes of properties that no platform knows.
    pub unknown_properties: UnknownProperties,
    /// Platforms in the order in which they are tried.
    pub platforms: Vec<Platform>,
}

/// A platform that the configuration names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    /// Its name.
    pub name: String,
    /// What it offers.
    pub properties: Vec<(String, String)>,
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
        let timeout_max = seconds("timeout-max", self.timeout_max, TIMEOUT_MAX_DEFAULT_SECONDS, 1)?;
        let timeout_default = match self.timeout_default {
            None => TIMEOUT_DEFAULT_SECONDS.min(timeout_max),
            given => seconds("timeout-default", given, TIMEOUT_DEFAULT_SECONDS, 1)?,
        };
        ensure!(
            timeout_default <= timeout_max,
            "--execution-timeout-default {timeout_default} is more than --execution-timeout-max {timeout_max}"
        );
        let lost_max = self.lost_max.unwrap_or(LOST_MAX_DEFAULT);
        ensure!((1..=100).contains(&lost_max), "--execution-lost-max {lost_max} is not between 1 and 100");
        let unmatched = seconds("unmatched-wait", self.unmatched_wait, UNMATCHED_WAIT_DEFAULT_SECONDS, 0)?;
        let grace = seconds("client-grace", self.client_grace, CLIENT_GRACE_DEFAULT_SECONDS, 0)?;
        Ok(ExecutionConfig {
            enabled: !self.off,
            timeout_default_ms: u64::from(timeout_default) * 1_000,
            timeout_max_ms: u64::from(timeout_max) * 1_000,
            unmatched_wait_ms: i64::from(unmatched) * 1_000,
            client_grace_ms: i64::from(grace) * 1_000,
            lost_max,
            unknown_properties: self.unknown_properties.unwrap_or_default(),
            platforms: platforms(&self.platforms.unwrap_or_default())?,
        })
    }
}

fn seconds(flag: &str, given: Option<u32>, default: u32, least: u32) -> Result<u32> {
    let seconds = given.unwrap_or(default);
    ensure!(
        (least..=TIME_MAX_SECONDS).contains(&seconds),
        "--execution-{flag} {seconds} is not between {least} and {TIME_MAX_SECONDS}"
    );
    Ok(seconds)
}

fn platforms(texts: &[String]) -> Result<Vec<Platform>> {
    ensure!(
        texts.len() <= PLATFORMS_MAX,
        "--execution-platform: {} are more than the {PLATFORMS_MAX} there may be",
        texts.len()
    );
    let mut platforms: Vec<Platform> = Vec::with_capacity(texts.len());
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
fn platform(text: &str) -> Result<Platform> {
    let (name, offers) = text.split_once('=').unwrap_or((text, ""));
    let name = name.trim();
    if name.is_empty() || name.chars().any(char::is_control) {
        bail!("--execution-platform {text:?} is not NAME=PROPERTY=VALUE,...: it begins with the platform's name");
    }
    let mut properties = Vec::new();
    for pair in offers.split(',').filter(|pair| !pair.trim().is_empty()) {
        let Some((property, value)) = pair.split_once('=').filter(|(property, _)| !property.trim().is_empty()) else {
            bail!("--execution-platform {text:?}: {pair:?} is not PROPERTY=VALUE");
        };
        properties.push((property.trim().to_owned(), value.trim().to_owned()));
    }
    ensure!(
        properties.len() <= PROPERTIES_MAX,
        "--execution-platform {name}: {} properties are more than the {PROPERTIES_MAX} there may be",
        properties.len()
    );
    Ok(Platform { name: name.to_owned(), properties })
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
        assert!(config.enabled && config.platforms.is_empty());
        assert_eq!((config.timeout_default_ms, config.timeout_max_ms), (3_600_000, 86_400_000));
        assert_eq!((config.unmatched_wait_ms, config.client_grace_ms, config.lost_max), (10_000, 60_000, 3));
        assert_eq!(config.unknown_properties, UnknownProperties::Reject);
        let short = RawExecutionConfig { timeout_max: Some(60), ..Default::default() }.resolve().unwrap();
        assert_eq!(short.timeout_default_ms, 60_000, "the default is never over the maximum");
    }

    #[test]
    fn what_cannot_be_is_said_with_its_flag() {
        let raw = RawExecutionConfig { timeout_max: Some(10), timeout_default: Some(20), ..Default::default() };
        let error = raw.resolve().unwrap_err().to_string();
        assert!(error.contains("--execution-timeout-default 20") && error.contains("timeout-max 10"), "{error}");
        let raw = RawExecutionConfig { client_grace: Some(u32::MAX), ..Default::default() };
        assert!(raw.resolve().unwrap_err().to_string().contains("--execution-client-grace 4294967295"));
        let raw = RawExecutionConfig { lost_max: Some(0), ..Default::default() };
        assert!(raw.resolve().unwrap_err().to_string().contains("--execution-lost-max 0"));
    }

    #[test]
    fn platforms_have_names_and_properties_in_their_order() {
        let config = of(&["big=OSFamily=linux,max-cores=64", "any=container-image=docker://a=b", "plain"]).unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(config.platforms[0].properties, [pair("OSFamily", "linux"), pair("max-cores", "64")]);
        assert_eq!(config.platforms[1].properties, [pair("container-image", "docker://a=b")], "values may have =");
        assert_eq!((config.platforms[2].name.as_str(), config.platforms[2].properties.len()), ("plain", 0));
        for (wrong, words) in [("=a=b", "name"), ("a=b", "PROPERTY=VALUE"), ("a==b", "PROPERTY=VALUE")] {
            let error = of(&[wrong]).unwrap_err().to_string();
            assert!(error.contains(words) && error.contains("--execution-platform"), "{error}");
        }
        assert!(of(&["a=x=1", "a=x=2"]).unwrap_err().to_string().contains("twice"));
    }

    #[test]
    fn the_file_has_the_same_names_without_the_prefix() {
        let text = "unknown_properties = \"ignore\"\nplatforms = [\"a=b=c\"]\ntimeout_max = 5\n";
        let raw: RawExecutionConfig = toml::from_str(text).unwrap();
        assert_eq!(raw.unknown_properties, Some(UnknownProperties::Ignore));
        assert_eq!((raw.platforms.unwrap().len(), raw.timeout_max), (1, Some(5)));
        assert!(
            toml::from_str::<RawExecutionConfig>("timeout_mx = 5\n").unwrap_err().to_string().contains("timeout_mx")
        );
    }
}
