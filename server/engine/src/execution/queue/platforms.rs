//! Platform queues, and the runners that serve them: those of the configuration in their order, then one for each
//! different set of properties that runners offer. Knows nothing of leases and time.

use std::collections::{BTreeMap, HashMap, HashSet};

use millrace_proto::platform_properties::{self, Mismatch, Properties, Property, is_reserved};

use super::lanes::Lanes;
use crate::execution::options::{ConfiguredPlatform, UnknownProperties};
use crate::execution::runner::KnownRunner;
use crate::execution::snapshot::PlatformMismatch;

/// How many answers to "where does this wait" are remembered.
const PLACES_MAX: usize = 1_024;
/// How many platform queues a mismatch is shown of.
pub const MISMATCHES_MAX: usize = 10;

/// A platform queue's number; never used again for another.
pub type PlatformId = u32;

/// All platform queues and runners.
#[derive(Debug)]
pub struct Platforms {
    unknown: UnknownProperties,
    order: Vec<PlatformId>,
    by_id: HashMap<PlatformId, Platform>,
    runners: BTreeMap<String, Member>,
    next: PlatformId,
    /// Cleared when the platforms change.
    places: HashMap<Properties, Option<PlatformId>>,
}

/// One platform queue.
#[derive(Debug)]
pub struct Platform {
    /// Its name.
    pub name: String,
    /// What it offers.
    pub properties: Properties,
    /// Named by the configuration.
    pub configured: bool,
    /// What waits in it.
    pub lanes: Lanes,
    /// How many of its runners are online.
    pub online: usize,
}

/// A runner and its platform.
#[derive(Debug)]
pub struct Member {
    /// The runner.
    pub runner: KnownRunner,
    /// Where it is at home.
    pub platform: PlatformId,
}

impl Platforms {
    /// Those of the configuration.
    pub fn new(configured: &[ConfiguredPlatform], unknown: UnknownProperties) -> Self {
        let mut all = Self {
            unknown,
            order: Vec::new(),
            by_id: HashMap::new(),
            runners: BTreeMap::new(),
            next: 0,
            places: HashMap::new(),
        };
        for ConfiguredPlatform { name, properties } in configured {
            all.add(name.clone(), properties.clone(), true);
        }
        all
    }

    /// Takes the runners that there are now. The queues that nobody serves any more, with what waits in them.
    pub fn set_runners(&mut self, runners: Vec<KnownRunner>) -> Vec<Platform> {
        let before = self.order.clone();
        self.runners.clear();
        for runner in runners {
            let platform = self.home(&runner.properties).unwrap_or_else(|| {
                let name = self.free_name(&runner.properties);
                self.add(name, runner.properties.clone(), false)
            });
            self.runners.insert(runner.uuid.clone(), Member { runner, platform });
        }
        let served: HashSet<PlatformId> = self.runners.values().map(|member| member.platform).collect();
        let platforms = &self.by_id;
        self.order.retain(|id| served.contains(id) || platforms.get(id).is_some_and(|platform| platform.configured));
        let gone: Vec<PlatformId> = before.into_iter().filter(|id| !self.order.contains(id)).collect();
        for platform in self.by_id.values_mut() {
            platform.online = 0;
        }
        for member in self.runners.values().filter(|member| member.runner.online) {
            if let Some(platform) = self.by_id.get_mut(&member.platform) {
                platform.online += 1;
            }
        }
        self.places.clear();
        gone.iter().filter_map(|id| self.by_id.remove(id)).collect()
    }

    /// What of the properties is matched: not what speaks to the sandbox, nor what nobody knows if that is ignored.
    pub fn matched(&self, properties: &Properties) -> Properties {
        let known = |name: &str| self.by_id.values().any(|platform| platform.properties.knows(name));
        properties.filtered(|property| {
            !is_reserved(&property.name) && (self.unknown == UnknownProperties::Reject || known(&property.name))
        })
    }

    /// The first platform queue that satisfies what is asked for.
    pub fn place(&mut self, requested: &Properties) -> Option<PlatformId> {
        if let Some(place) = self.places.get(requested) {
            return *place;
        }
        let satisfies = |id: &PlatformId| self.by_id[id].properties.satisfy(requested);
        let place = self.order.iter().copied().find(satisfies);
        if self.places.len() >= PLACES_MAX {
            self.places.clear();
        }
        self.places.insert(requested.clone(), place);
        place
    }

    /// The platform queue with this name.
    pub fn named(&self, name: &str) -> Option<PlatformId> {
        self.order.iter().copied().find(|id| self.by_id[id].name == name)
    }

    /// The platform queue at which such a runner is at home.
    pub fn home(&self, offered: &Properties) -> Option<PlatformId> {
        let fits = |platform: &Platform| {
            if platform.configured { covers(offered, &platform.properties) } else { platform.properties == *offered }
        };
        self.order.iter().copied().find(|id| fits(&self.by_id[id]))
    }

    /// A platform queue.
    pub fn get(&self, id: PlatformId) -> Option<&Platform> {
        self.by_id.get(&id)
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, id: PlatformId) -> Option<&mut Platform> {
        self.by_id.get_mut(&id)
    }

    /// All in their order.
    pub fn iter(&self) -> impl Iterator<Item = (PlatformId, &Platform)> {
        self.order.iter().map(|id| (*id, &self.by_id[id]))
    }

    /// A runner.
    pub fn runner(&self, uuid: &str) -> Option<&Member> {
        self.runners.get(uuid)
    }

    /// All runners, by identity.
    pub fn runners(&self) -> impl Iterator<Item = &Member> {
        self.runners.values()
    }

    /// What each platform queue lacks of what is asked for, the nearest first.
    pub fn mismatches(&self, requested: &Properties) -> Vec<PlatformMismatch> {
        let lacking = |(_, platform): (PlatformId, &Platform)| {
            let properties = platform_properties::satisfies(&platform.properties, requested).err()?;
            Some(PlatformMismatch { platform: platform.name.clone(), properties })
        };
        let mut all: Vec<PlatformMismatch> = self.iter().filter_map(lacking).collect();
        all.sort_by_key(|mismatch| mismatch.properties.len());
        all.truncate(MISMATCHES_MAX);
        all
    }

    /// Why nobody can run what asks for these: requested against offered.
    pub fn explain(&self, requested: &Properties) -> String {
        let asked = if requested.is_empty() { "no properties".to_owned() } else { requested.to_string() };
        if self.order.is_empty() {
            return format!("the action asks for {asked}; no runner for actions is registered");
        }
        let short = self.mismatches(requested).iter().map(shown).collect::<Vec<_>>().join("; ");
        let more = match self.order.len().saturating_sub(MISMATCHES_MAX) {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        format!("no runner can run the action. It asks for {asked}. {short}{more}")
    }

    fn add(&mut self, name: String, properties: Properties, configured: bool) -> PlatformId {
        let id = self.next;
        self.next += 1;
        self.order.push(id);
        self.by_id.insert(id, Platform { name, properties, configured, lanes: Lanes::default(), online: 0 });
        id
    }

    fn free_name(&self, properties: &Properties) -> String {
        let name = if properties.is_empty() { "(no properties)".to_owned() } else { properties.to_string() };
        if self.named(&name).is_some() { format!("runners with {name}") } else { name }
    }
}

fn shown(mismatch: &PlatformMismatch) -> String {
    let wrong: Vec<String> = mismatch.properties.iter().map(Mismatch::to_string).collect();
    format!("On \"{}\": {}", mismatch.platform, wrong.join(", "))
}

/// Whether a runner is one of a configured platform: it offers all that the platform promises.
fn covers(offered: &Properties, platform: &Properties) -> bool {
    platform.iter().all(|promised: &Property| {
        if promised.value == platform_properties::ANY_VALUE {
            offered.knows(&promised.name)
        } else {
            offered.takes(promised)
        }
    })
}
