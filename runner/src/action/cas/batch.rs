//! Many small blobs in one call, and which of many are missing. Knows nothing of streams.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use millrace_proto::digest::{Digest, DigestFunction};
use millrace_proto::instance_name::InstanceName;
use millrace_proto::reapi::{self, BatchReadBlobsRequest, BatchUpdateBlobsRequest, FindMissingBlobsRequest};
use millrace_proto::rpc::{Code, Status};

use super::error::CasError;
use super::retry::{Patience, retrying};
use super::{Cas, wire, wire_function};

/// How much content goes into one batch: servers take messages of 4 MiB, digests and all.
pub const BATCH_MAX_BYTES: u64 = 4 * 1024 * 1024 - 256 * 1024;
/// What a blob in a batch costs beside its content.
const BATCH_ENTRY_BYTES: u64 = 192;
/// How many digests one FindMissingBlobs asks for.
const FIND_MISSING_MAX: usize = 10_000;
/// Content beyond this is hashed on a thread that may block.
const HASH_INLINE_MAX_BYTES: u64 = 64 * 1024;

/// Cuts digests, each at most [`BATCH_MAX_BYTES`] large, into batches.
pub fn batches(digests: impl IntoIterator<Item = Digest>) -> Vec<Vec<Digest>> {
    let mut batches: Vec<Vec<Digest>> = Vec::new();
    let mut room = 0;
    for digest in digests {
        let bytes = digest.size() + BATCH_ENTRY_BYTES;
        match batches.last_mut() {
            Some(batch) if bytes <= room => {
                room -= bytes;
                batch.push(digest);
            }
            _ => {
                room = BATCH_MAX_BYTES.saturating_sub(bytes);
                batches.push(vec![digest]);
            }
        }
    }
    batches
}

impl Cas {
    /// Which of these are not there, each once. All are of one function.
    pub async fn find_missing(&self, instance: &InstanceName, digests: &[Digest]) -> Result<Vec<Digest>, CasError> {
        let mut missing = Vec::new();
        for some in digests.chunks(FIND_MISSING_MAX) {
            let function = some[0].function();
            let answer = retrying(self.patience, || async {
                let request = FindMissingBlobsRequest {
                    instance_name: instance.to_string(),
                    blob_digests: some.iter().map(wire).collect(),
                    digest_function: wire_function(function),
                    ..Default::default()
                };
                Ok(self.blobs.find_missing_blobs(request).await?.into_owned())
            });
            for digest in &answer.await?.missing_blob_digests {
                missing.push(parse(function, Some(digest))?);
            }
        }
        Ok(missing)
    }

    /// The contents of blobs that are one of [`batches`]; those that are not there are left out. Each is what its
    /// digest says.
    pub async fn read_batch(
        &self,
        instance: &InstanceName,
        digests: &[Digest],
    ) -> Result<HashMap<Digest, Bytes>, CasError> {
        let _lane = self.lanes.acquire().await;
        let mut patience = Patience::new(self.patience);
        let mut found = HashMap::with_capacity(digests.len());
        let mut absent = HashSet::new();
        loop {
            let wanted: Vec<_> =
                digests.iter().copied().filter(|one| !found.contains_key(one) && !absent.contains(one)).collect();
            if wanted.is_empty() {
                return Ok(found);
            }
            match self.read_once(instance, wanted, &mut found, &mut absent).await {
                Ok(()) => {}
                Err(error) => patience.after(error).await?,
            }
        }
    }

    async fn read_once(
        &self,
        instance: &InstanceName,
        wanted: Vec<Digest>,
        found: &mut HashMap<Digest, Bytes>,
        absent: &mut HashSet<Digest>,
    ) -> Result<(), CasError> {
        let function = wanted[0].function();
        let request = BatchReadBlobsRequest {
            instance_name: instance.to_string(),
            digests: wanted.iter().map(wire).collect(),
            digest_function: wire_function(function),
            ..Default::default()
        };
        let answer = self.blobs.batch_read_blobs(request).await?.into_owned();
        let mut wanted: HashSet<_> = wanted.into_iter().collect();
        let mut contents = Vec::with_capacity(answer.responses.len());
        let mut failed = None;
        for response in answer.responses {
            let digest = parse(function, response.digest.as_option())?;
            if !wanted.remove(&digest) {
                continue;
            }
            match outcome(response.status.as_option()) {
                Ok(()) => contents.push((digest, response.data)),
                Err(CasError::NotFound(_)) => {
                    absent.insert(digest);
                }
                Err(error) => failed = Some(error),
            }
        }
        let corrupt = check(contents, found).await?;
        if let Some(error) = failed.or(corrupt) {
            return Err(error);
        }
        match wanted.into_iter().next() {
            Some(digest) => Err(CasError::Corrupt { digest, found: "no answer for it".into() }),
            None => Ok(()),
        }
    }

    /// Stores blobs, in as many calls as it takes; each is at most [`BATCH_MAX_BYTES`] large.
    pub async fn write_batch(&self, instance: &InstanceName, blobs: Vec<(Digest, Bytes)>) -> Result<(), CasError> {
        let mut contents: HashMap<_, _> = blobs.into_iter().collect();
        for batch in batches(contents.keys().copied().collect::<Vec<_>>()) {
            let batch = batch.into_iter().filter_map(|digest| contents.remove_entry(&digest)).collect();
            self.write_one(instance, batch).await?;
        }
        Ok(())
    }

    async fn write_one(&self, instance: &InstanceName, mut blobs: HashMap<Digest, Bytes>) -> Result<(), CasError> {
        let _lane = self.lanes.acquire().await;
        let mut patience = Patience::new(self.patience);
        while let Some(function) = blobs.keys().next().map(Digest::function) {
            let requests = blobs.iter().map(|(digest, data)| reapi::batch_update_blobs_request::Request {
                digest: wire(digest).into(),
                data: data.clone(),
                ..Default::default()
            });
            let request = BatchUpdateBlobsRequest {
                instance_name: instance.to_string(),
                requests: requests.collect(),
                digest_function: wire_function(function),
                ..Default::default()
            };
            let stored = match self.blobs.batch_update_blobs(request).await {
                Ok(answer) => settle(function, answer.into_owned(), &mut blobs),
                Err(error) => Err(error.into()),
            };
            if let Err(error) = stored {
                patience.after(error).await?;
            }
        }
        Ok(())
    }
}

/// Takes out of `blobs` what is stored.
fn settle(
    function: DigestFunction,
    answer: reapi::BatchUpdateBlobsResponse,
    blobs: &mut HashMap<Digest, Bytes>,
) -> Result<(), CasError> {
    let mut failed = None;
    for response in answer.responses {
        let digest = parse(function, response.digest.as_option())?;
        match outcome(response.status.as_option()) {
            Ok(()) => {
                blobs.remove(&digest);
            }
            Err(error) => failed = Some(error),
        }
    }
    match (failed, blobs.keys().next()) {
        (Some(error), _) => Err(error),
        (None, Some(digest)) => Err(CasError::Unavailable(format!("no answer for blobs/{digest}"))),
        (None, None) => Ok(()),
    }
}

/// Hashes what came; what is right goes to `found`.
async fn check(
    contents: Vec<(Digest, Bytes)>,
    found: &mut HashMap<Digest, Bytes>,
) -> Result<Option<CasError>, CasError> {
    let bytes: u64 = contents.iter().map(|(_, content)| content.len() as u64).sum();
    let hash = move || -> Vec<_> {
        let right = |(digest, content): &(Digest, Bytes)| Digest::of(digest.function(), content) == *digest;
        contents.into_iter().map(|blob| (right(&blob), blob)).collect()
    };
    let hashed = if bytes <= HASH_INLINE_MAX_BYTES {
        hash()
    } else {
        tokio::task::spawn_blocking(hash).await.map_err(|error| CasError::Source(error.to_string()))?
    };
    let mut corrupt = None;
    for (right, (digest, content)) in hashed {
        if right {
            found.insert(digest, content);
        } else {
            let found = format!("{} other bytes", content.len());
            corrupt = Some(CasError::Corrupt { digest, found });
        }
    }
    Ok(corrupt)
}

/// What a blob's own status means.
fn outcome(status: Option<&Status>) -> Result<(), CasError> {
    let Some(status) = status else { return Ok(()) };
    let text = || status.message.clone();
    match status.code {
        code if code == Code::OK as i32 || code == Code::ALREADY_EXISTS as i32 => Ok(()),
        code if code == Code::NOT_FOUND as i32 => Err(CasError::NotFound(text())),
        code if code == Code::INVALID_ARGUMENT as i32 => Err(CasError::Refused(text())),
        code if code == Code::RESOURCE_EXHAUSTED as i32 => Err(CasError::Exhausted(text())),
        code if code == Code::PERMISSION_DENIED as i32 => Err(CasError::NotAuthorised(text())),
        _ => Err(CasError::Unavailable(text())),
    }
}

fn parse(function: DigestFunction, digest: Option<&reapi::Digest>) -> Result<Digest, CasError> {
    let Some(digest) = digest else { return Err(CasError::Refused("the server answered without a digest".into())) };
    Digest::parse(function, &digest.hash, digest.size_bytes)
        .map_err(|error| CasError::Refused(format!("the server answered a bad digest: {error}")))
}
