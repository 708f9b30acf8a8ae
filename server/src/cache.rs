//! Composes the remote cache: a store, its wrappers from within to without, and the rooms on top. All its wiring is here.

use std::sync::Arc;

use millrace_engine::actions::activity::{ActivityStore, CacheActivity};
use millrace_engine::actions::{ActionCache, ActionCacheOptions, Chunking, Trees};
use millrace_engine::assets::{Assets, Downloader};
use millrace_engine::blobs::{
    AtRest, BlobLimits, BlobMeter, BlobRoom, BlobStore, BlobTraffic, EntryStore, Metered, SizeLimited, Verified,
    VerifyReads,
};
use millrace_engine::clock::Clock;
use millrace_engine::keys::KeyCache;

use crate::assets::HttpDownloader;
use crate::auth::Instances;
use crate::config::CacheConfig;

/// Uploads that were broken off may hold the limit divided by this.
const PARKED_SHARE: u64 = 8;

/// The remote cache of a server.
pub struct Cache {
    /// Blobs.
    pub blobs: Arc<BlobRoom>,
    /// Action results.
    pub actions: Arc<ActionCache>,
    /// File trees.
    pub trees: Arc<Trees>,
    /// Chunks of blobs.
    pub chunking: Arc<Chunking>,
    /// Pushed and fetched assets.
    pub assets: Arc<Assets>,
    /// Keys of HTTP caches.
    pub keys: Arc<KeyCache>,
    /// What passes through.
    pub activity: Arc<CacheActivity>,
    /// What the store was asked and gave since the start.
    pub meter: Arc<BlobMeter>,
    /// Which instances there are.
    pub instances: Instances,
}

impl Cache {
    /// On a store that keeps blobs and entries.
    pub fn on<S: BlobStore + EntryStore>(
        store: Arc<S>,
        activity: Arc<dyn ActivityStore>,
        clock: &Arc<dyn Clock>,
        config: &CacheConfig,
    ) -> Self {
        let entries: Arc<dyn EntryStore> = Arc::clone(&store) as Arc<dyn EntryStore>;
        let mut limits = BlobLimits { blob_max_bytes: config.blob_max_bytes, ..BlobLimits::default() };
        if config.limit_bytes > 0 {
            // Uploads that were broken off hold their space: most of the cache stays for others.
            limits.parked_uploads_max_bytes = limits.parked_uploads_max_bytes.min(config.limit_bytes / PARKED_SHARE);
        }
        let reads = if config.verify_reads { VerifyReads::Always } else { VerifyReads::Checksums };
        let activity = Arc::new(CacheActivity::new(activity, Arc::clone(clock)));
        let meter = Arc::new(BlobMeter::telling(Arc::clone(&activity) as Arc<dyn BlobTraffic>));
        let store: Arc<dyn BlobStore> = Arc::new(Metered::new(store, Arc::clone(&meter)));
        let store = Arc::new(AtRest::new(store, config.compress));
        let store = Arc::new(Verified::new(store, reads));
        let store = Arc::new(SizeLimited::new(store, limits.blob_max_bytes));
        let blobs = Arc::new(BlobRoom::new(store, limits, Arc::clone(clock)));
        let downloader = config.assets.downloads.then(|| {
            let max_bytes = config.assets.max_bytes.min(blobs.limits().blob_max_bytes);
            Arc::new(HttpDownloader::new(config.assets.allow.clone(), max_bytes)) as Arc<dyn Downloader>
        });
        let assets =
            Assets::new(Arc::clone(&blobs), Arc::clone(&entries), Arc::clone(clock), downloader, config.assets.timeout);
        let actions = ActionCache::new(
            Arc::clone(&entries),
            Arc::clone(&blobs),
            Arc::clone(&activity),
            Arc::clone(clock),
            ActionCacheOptions::default(),
        );
        Self {
            actions: Arc::new(actions),
            assets: Arc::new(assets),
            trees: Arc::new(Trees::new(Arc::clone(&blobs))),
            chunking: Arc::new(Chunking::new(Arc::clone(&entries), Arc::clone(&blobs))),
            keys: Arc::new(KeyCache::new(entries, Arc::clone(&blobs), Arc::clone(clock))),
            activity,
            meter,
            instances: Instances::new(config.instances.clone()),
            blobs,
        }
    }
}
