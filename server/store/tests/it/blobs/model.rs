//! Any order of puts, reads, removals, restarts and evictions, against a map: what is there is what was put last, and
//! what went is what was not used for the longest time.

use std::path::Path;

use bytes::Bytes;
use millrace_engine::blobs::{BlobStore, EntryStore};
use millrace_engine::testing::blob_store::{blob, instance, noise};
use millrace_proto::digest::Digest;
use millrace_store::blobs::disk::{DiskBlobs, DiskBlobsOptions};
use proptest::prelude::*;
use tempfile::TempDir;

use super::{get, get_entry, key, open, options, put, put_entry};

const NAMES: u64 = 60;

#[derive(Clone, Debug)]
enum Step {
    Put(u64),
    Get(u64),
    Missing(u64),
    Remove(u64),
    PutEntry(u64, u64),
    GetEntry(u64),
    RemoveEntry(u64),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let name = 0..NAMES;
    prop_oneof![
        6 => name.clone().prop_map(Step::Put),
        4 => name.clone().prop_map(Step::Get),
        2 => name.clone().prop_map(Step::Missing),
        1 => name.clone().prop_map(Step::Remove),
        4 => (0..20_u64, 0..1000_u64).prop_map(|(name, value)| Step::PutEntry(name, value)),
        2 => (0..20_u64).prop_map(Step::GetEntry),
        1 => (0..20_u64).prop_map(Step::RemoveEntry),
        1 => Just(Step::Restart),
    ]
}

/// A third of them has a file of its own.
fn content(name: u64) -> Bytes {
    noise(name, (name * 131 % 1500) as usize + 1)
}

fn value(number: u64) -> Bytes {
    noise(number + 1_000_000, (number % 900) as usize)
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Name {
    Blob(u64),
    Entry(u64, u64),
}

impl Name {
    fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Blob(one), Self::Blob(other)) | (Self::Entry(one, _), Self::Entry(other, _)) => one == other,
            _ => false,
        }
    }
}

/// The names that should be there, the longest not used first.
#[derive(Debug, Default)]
struct Model(Vec<Name>);

impl Model {
    fn at(&self, name: &Name) -> Option<usize> {
        self.0.iter().position(|known| known.same(name))
    }

    fn remove(&mut self, name: &Name) -> Option<Name> {
        self.at(name).map(|at| self.0.remove(at))
    }

    fn put(&mut self, name: Name) {
        self.remove(&name);
        self.0.push(name);
    }

    fn touch(&mut self, name: &Name) {
        if let Some(name) = self.remove(name) {
            self.0.push(name);
        }
    }

    /// So many have gone: those at the front.
    fn evict(&mut self, count: usize) {
        self.0.drain(..count);
    }
}

fn tight() -> DiskBlobsOptions {
    DiskBlobsOptions { limit_bytes: 60_000, pack_max_bytes: 4_000, small_max_bytes: 1000, lease_ms: 0, ..options() }
}

/// Follows the store: what it evicted is what the model has at its front.
struct Run {
    store: Option<DiskBlobs>,
    evicted: u64,
    model: Model,
}

impl Run {
    fn store(&self) -> &DiskBlobs {
        self.store.as_ref().unwrap()
    }

    async fn step(&mut self, root: &Path, step: &Step) {
        match step {
            Step::Put(name) => {
                put(self.store(), &content(*name)).await;
                self.was_put(Name::Blob(*name));
            }
            Step::Get(name) => {
                let found = get(self.store(), &digest(*name)).await;
                assert!(found.as_ref().is_none_or(|found| *found == content(*name)), "blob {name}");
                self.was_found(&Name::Blob(*name), found.is_some());
            }
            Step::Missing(name) => {
                let missing = self.store().missing(&instance("main"), &[digest(*name)]).await.unwrap();
                self.was_found(&Name::Blob(*name), missing.is_empty());
            }
            Step::Remove(name) => {
                let removed = BlobStore::remove(self.store(), &instance("main"), &digest(*name)).await.unwrap();
                self.was_removed(&Name::Blob(*name), removed);
            }
            Step::PutEntry(name, number) => {
                put_entry(self.store(), &name.to_string(), value(*number)).await;
                self.was_put(Name::Entry(*name, *number));
            }
            Step::GetEntry(name) => {
                let found = get_entry(self.store(), &name.to_string()).await;
                if let Some(found) = &found {
                    let at = self.model.at(&Name::Entry(*name, 0)).expect("an entry that was never put");
                    assert!(
                        matches!(self.model.0[at], Name::Entry(_, number) if value(number) == found),
                        "entry {name}"
                    );
                }
                self.was_found(&Name::Entry(*name, 0), found.is_some());
            }
            Step::RemoveEntry(name) => {
                let removed = EntryStore::remove(self.store(), &key(&name.to_string())).await.unwrap();
                self.was_removed(&Name::Entry(*name, 0), removed);
            }
            Step::Restart => {
                self.store = None;
                self.store = Some(open(root, tight()));
                let usage = self.store().usage();
                // The sweeper may have gone on to the end.
                self.model.evict(self.model.0.len() - (usage.blobs + usage.entries + usage.evicted) as usize);
                self.evicted = 0;
                self.settle();
                self.compare().await;
            }
        }
    }

    /// The sweeper runs beside the steps: what it took out during one may have gone before or after what the step did.
    fn was_found(&mut self, name: &Name, found: bool) {
        if found {
            assert!(self.model.at(name).is_some(), "{name:?} was not there");
            self.model.touch(name);
        }
        self.settle();
        assert!(found || self.model.at(name).is_none(), "{name:?} is lost");
    }

    fn was_removed(&mut self, name: &Name, removed: bool) {
        let usage = self.store().usage();
        let gone = (usage.evicted - self.evicted) as usize;
        if removed {
            assert!(self.model.remove(name).is_some(), "{name:?} was not there");
        }
        // It went while it was being removed: then it is one of those that went.
        let went_too = removed && gone > 0 && (usage.blobs + usage.entries) as usize == self.model.0.len() + 1 - gone;
        self.model.evict(gone - usize::from(went_too));
        self.evicted = usage.evicted;
        self.settle();
        assert!(removed || self.model.at(name).is_none(), "{name:?} is lost");
    }

    fn was_put(&mut self, name: Name) {
        let usage = self.store().usage();
        let gone = (usage.evicted - self.evicted) as usize;
        let was_there = self.model.at(&name).is_some();
        self.model.put(name);
        // It had gone already when it was put again: then it is one of those that went.
        let went_too = was_there && (usage.blobs + usage.entries) as usize == self.model.0.len() - gone + 1;
        self.model.evict(gone - usize::from(went_too));
        self.evicted = usage.evicted;
        self.settle();
    }

    fn settle(&mut self) {
        let usage = self.store().usage();
        self.model.evict((usage.evicted - self.evicted) as usize);
        self.evicted = usage.evicted;
        assert_eq!((usage.blobs + usage.entries) as usize, self.model.0.len());
        assert!(usage.stored_bytes <= 60_000 && usage.corrupt == 0, "{usage:?}");
    }

    /// All names at once, without a use.
    async fn compare(&mut self) {
        for name in 0..NAMES {
            let digest = digest(name);
            let found = self.store().find(&instance("main"), digest.function(), digest.hash()).await.unwrap();
            if found.is_none() {
                self.settle();
            }
            assert_eq!(found.is_some(), self.model.at(&Name::Blob(name)).is_some(), "blob {name}");
        }
    }
}

fn digest(name: u64) -> Digest {
    blob(&content(name)).digest
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn does_what_a_map_does(steps in proptest::collection::vec(step(), 50..400)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let folder = TempDir::new().unwrap();
            let mut run = Run { store: Some(open(folder.path(), tight())), evicted: 0, model: Model::default() };
            for step in &steps {
                run.step(folder.path(), step).await;
            }
            run.step(folder.path(), &Step::Restart).await;
        });
    }
}
