//! The action cache, trees and chunks on a room in memory.

mod chunking;
mod hits;
mod trees;
mod updates;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use buffa::Message;
use bytes::Bytes;
use millrace_proto::digest::{Digest, DigestFunction};
use millrace_proto::instance_name::InstanceName;
use millrace_proto::reapi::{
    self, ActionResult, Directory, DirectoryNode, FileNode, OutputDirectory, OutputFile, Tree,
};

use super::activity::{CacheActivity, MemoryActivity};
use super::*;
use crate::blobs::{
    BlobLimits, BlobMeter, BlobRoom, BlobStore, Encoding, MemoryBlobs, Metered, NewBlob, Verified, VerifyReads,
};
use crate::clock::{Clock, SystemClock};
use crate::error::Error;

const SHA256: DigestFunction = DigestFunction::Sha256;

/// A cache as the server has it, on a store in memory.
struct Scene {
    memory: MemoryBlobs,
    room: Arc<BlobRoom>,
    cache: ActionCache,
    trees: Trees,
    chunking: Chunking,
    activity: Arc<CacheActivity>,
    meter: Arc<BlobMeter>,
    main: InstanceName,
}

fn scene() -> Scene {
    scene_with(ActionCacheOptions::default(), BlobLimits::default())
}

fn scene_with(options: ActionCacheOptions, limits: BlobLimits) -> Scene {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let (memory, meter) = (MemoryBlobs::default(), Arc::new(BlobMeter::default()));
    let store = Metered::new(Arc::new(memory.clone()), Arc::clone(&meter));
    let store = Verified::new(Arc::new(store), VerifyReads::Checksums);
    let room = Arc::new(BlobRoom::new(Arc::new(store), limits, Arc::clone(&clock)));
    let activity = Arc::new(CacheActivity::new(Arc::new(MemoryActivity::default()), Arc::clone(&clock)));
    let entries = Arc::new(memory.clone());
    Scene {
        cache: ActionCache::new(entries.clone(), Arc::clone(&room), Arc::clone(&activity), clock, options),
        trees: Trees::new(Arc::clone(&room)),
        chunking: Chunking::new(entries, Arc::clone(&room)),
        main: InstanceName::parse("main").expect("a name"),
        memory,
        room,
        activity,
        meter,
    }
}

impl Scene {
    /// Stores a blob.
    async fn put(&self, data: impl Into<Bytes>) -> Digest {
        let data = data.into();
        let digest = Digest::of(SHA256, &data);
        let new = NewBlob { digest, encoding: Encoding::Identity, data };
        let stored: Result<(), Error> = self.room.write_many(&self.main, vec![new]).await.expect("writes").remove(0);
        stored.expect("stored");
        digest
    }

    async fn put_message(&self, message: &impl Message) -> Digest {
        self.put(message.encode_to_vec()).await
    }

    async fn drop_blob(&self, digest: &Digest) {
        assert!(BlobStore::remove(&self.memory, &self.main, digest).await.expect("removes"), "{digest} was here");
    }

    async fn get(&self, action: &Digest) -> Option<ActionResult> {
        self.cache.get(&self.main, action, &Inline::default(), Origin::default()).await.expect("answers")
    }

    async fn update(&self, action: &Digest, result: ActionResult) -> Result<ActionResult, Error> {
        self.cache.update(&self.main, action, result, Origin::default()).await
    }

    /// How often blobs were opened.
    fn opened(&self) -> u64 {
        self.meter.hits.load(Relaxed) + self.meter.misses.load(Relaxed)
    }
}

fn action(text: &str) -> Digest {
    Digest::of(SHA256, text.as_bytes())
}

fn wire(digest: &Digest) -> reapi::Digest {
    reapi::Digest { hash: digest.hex(), size_bytes: digest.size_wire(), ..Default::default() }
}

fn output(path: &str, digest: &Digest) -> OutputFile {
    OutputFile { path: path.into(), digest: wire(digest).into(), ..Default::default() }
}

fn tree_output(path: &str, tree: &Digest) -> OutputDirectory {
    OutputDirectory { path: path.into(), tree_digest: wire(tree).into(), ..Default::default() }
}

fn file(name: &str, digest: &Digest) -> FileNode {
    FileNode { name: name.into(), digest: wire(digest).into(), ..Default::default() }
}

fn child(name: &str, digest: &Digest) -> DirectoryNode {
    DirectoryNode { name: name.into(), digest: wire(digest).into(), ..Default::default() }
}

fn directory(files: Vec<FileNode>, directories: Vec<DirectoryNode>) -> Directory {
    Directory { files, directories, ..Default::default() }
}

fn digest_of(message: &impl Message) -> Digest {
    Digest::of(SHA256, &message.encode_to_vec())
}

fn tree(root: Directory, children: Vec<Directory>) -> Tree {
    Tree { root: root.into(), children, ..Default::default() }
}
