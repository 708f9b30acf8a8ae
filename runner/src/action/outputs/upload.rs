//! Brings contents to the CAS: little ones at once, of much only what is missing there. Knows nothing of outputs'
//! meaning.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{StreamExt as _, TryStreamExt as _};
use millrace_proto::digest::Digest;
use millrace_proto::instance_name::InstanceName;

use super::content::{Content, Contents, FileSource, Output};
use crate::action::cas::{Cas, CasError, Source};
use crate::action::error::{ActionError, Result};

/// Up to so many bytes, to send them costs less than to ask whether they are missing.
const SEND_UNASKED_MAX_BYTES: u64 = 256 * 1024;
/// Contents beyond this go as streams.
const BATCHED_MAX_BYTES: u64 = 1024 * 1024;
/// How many streams of one action are under way at once.
const STREAMS_AT_ONCE: usize = 4;

/// Stores what is not there.
pub async fn upload(cas: &Cas, instance: &InstanceName, contents: Contents) -> Result<()> {
    let mut blobs = contents.blobs;
    let bytes: u64 = blobs.keys().map(Digest::size).fold(0, u64::saturating_add);
    if bytes > SEND_UNASKED_MAX_BYTES {
        let digests: Vec<_> = blobs.keys().copied().collect();
        let mut missing = HashMap::new();
        for digest in cas.find_missing(instance, &digests).await? {
            missing.extend(blobs.remove_entry(&digest));
        }
        blobs = missing;
    }
    let (mut small, mut large) = (Vec::new(), Vec::new());
    for (digest, content) in blobs {
        match content {
            Content::Bytes(bytes) if digest.size() <= BATCHED_MAX_BYTES => small.push((digest, bytes)),
            content => large.push((digest, content)),
        }
    }
    let streams = futures::stream::iter(large)
        .map(|(digest, content)| stream(cas, instance, digest, content))
        .buffer_unordered(STREAMS_AT_ONCE)
        .try_collect::<()>();
    let batches = async { cas.write_batch(instance, small).await.map_err(ActionError::from) };
    tokio::try_join!(batches, streams)?;
    Ok(())
}

async fn stream(cas: &Cas, instance: &InstanceName, digest: Digest, content: Content) -> Result<()> {
    match content {
        Content::Bytes(bytes) => Ok(cas.write(instance, digest, Arc::new(bytes)).await?),
        Content::Open(file) => Ok(cas.write(instance, digest, Arc::new(FileSource(file))).await?),
        Content::Output(output) => {
            let source = Arc::new(OutputSource { output: Arc::clone(&output) });
            match cas.write(instance, digest, source).await {
                Ok(()) => Ok(()),
                // The server hashes what it gets.
                Err(CasError::Source(_) | CasError::Refused(_)) if !is_same(&output, digest).await => {
                    Err(ActionError::OutputChanged { path: output.path.clone() })
                }
                Err(error) => Err(error.into()),
            }
        }
    }
}

/// Whether an output still has the content that was hashed; looks at the content itself, as a time can be the same
/// after a change within a tick of the clock.
async fn is_same(output: &Arc<Output>, digest: Digest) -> bool {
    let output = Arc::clone(output);
    let look = move || -> io::Result<bool> {
        Ok(output.is_same() && super::hash::hash(&output.open()?, digest.function())? == digest)
    };
    tokio::task::spawn_blocking(look).await.is_ok_and(|same| same.unwrap_or(false))
}

/// Opened anew for each piece, so that many outputs on their way hold no files open; a piece is 1 MiB.
struct OutputSource {
    output: Arc<Output>,
}

impl Source for OutputSource {
    fn read_at(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        FileSource(Arc::new(self.output.open()?)).read_at(offset, len)
    }
}
