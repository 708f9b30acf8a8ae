//! Contents that a client would like to have in the answer itself. It is a wish: what is too much, or can't be read, is
//! left to be fetched.

use std::collections::HashMap;

use bytes::Bytes;
use millrace_proto::digest::{Digest, DigestFunction};
use millrace_proto::instance_name::InstanceName;
use millrace_proto::reapi::ActionResult;

use super::outputs::optional;
use crate::blobs::BlobRoom;
use crate::error::Error;

/// How many bytes are put into one answer.
pub const INLINE_MAX_BYTES: u64 = 1024 * 1024;

/// Which contents a client would like to have in the answer.
#[derive(Clone, Debug, Default)]
pub struct Inline {
    /// The standard output.
    pub stdout: bool,
    /// The standard error.
    pub stderr: bool,
    /// Output files, by their paths in the result.
    pub output_files: Vec<String>,
}

impl Inline {
    /// Puts contents into a result as long as there are bytes `left` for them.
    pub async fn fill(
        &self,
        room: &BlobRoom,
        instance: &InstanceName,
        function: DigestFunction,
        result: &mut ActionResult,
        left: u64,
    ) {
        let mut reader = Reader { room, instance, left: left.min(INLINE_MAX_BYTES) };
        if self.stdout && result.stdout_raw.is_empty() {
            let digest = optional(function, &result.stdout_digest, "stdout_digest", "");
            result.stdout_raw = reader.read(digest.ok().flatten()).await;
        }
        if self.stderr && result.stderr_raw.is_empty() {
            let digest = optional(function, &result.stderr_digest, "stderr_digest", "");
            result.stderr_raw = reader.read(digest.ok().flatten()).await;
        }
        if self.output_files.is_empty() {
            return;
        }
        let places = result.output_files.iter().enumerate().map(|(index, file)| (file.path.clone(), index));
        let places: HashMap<String, usize> = places.collect();
        for path in &self.output_files {
            let Some(file) = places.get(path).and_then(|index| result.output_files.get_mut(*index)) else { continue };
            if file.contents.is_empty() {
                file.contents = reader.read(optional(function, &file.digest, "digest", path).ok().flatten()).await;
            }
        }
    }
}

struct Reader<'a> {
    room: &'a BlobRoom,
    instance: &'a InstanceName,
    left: u64,
}

impl Reader<'_> {
    /// The content, or nothing.
    async fn read(&mut self, digest: Option<Digest>) -> Bytes {
        let Some(digest) = digest.filter(|digest| (1..=self.left).contains(&digest.size())) else {
            return Bytes::new();
        };
        match self.room.whole(self.instance, &digest, self.left).await {
            Ok(content) => {
                self.left -= content.len() as u64;
                content
            }
            Err(Error::NotFound(_)) => Bytes::new(),
            Err(error) => {
                tracing::warn!(%error, %digest, "an output was left out of an answer");
                Bytes::new()
            }
        }
    }
}
