//! BatchUpdateBlobs and BatchReadBlobs.

use std::sync::Arc;

use bazel_remote_apis::build::bazel::remote::execution::v2::{
    BatchReadBlobsRequest, BatchUpdateBlobsRequest, batch_update_blobs_request, digest_function,
};
use prost::Message;

use super::super::call::{Call, Keep};
use super::super::content::{Blob, Content};
use super::super::expect::Expect;
use super::super::waves::Op;
use super::super::workload::{Wave, Workload};
use super::{keep_some, proven};

const UPDATE: &str = "/build.bazel.remote.execution.v2.ContentAddressableStorage/BatchUpdateBlobs";
const READ: &str = "/build.bazel.remote.execution.v2.ContentAddressableStorage/BatchReadBlobs";
/// How many blobs a call has.
const BLOBS: usize = 100;
const BLOB_BYTES: usize = 4 * 1024;
/// How many batches there are to be read.
const BATCHES: usize = 64;

/// New blobs.
pub struct BatchUpdate {
    pub instance: String,
}

/// Blobs that are there.
pub struct BatchRead {
    pub instance: String,
    pub batches: Vec<Op>,
}

/// A call that stores these.
pub fn update(instance: &str, blobs: Arc<Vec<Blob>>) -> Op {
    let request = |blob: &Blob| batch_update_blobs_request::Request {
        digest: Some(blob.digest()),
        data: blob.pieces.concat(),
        ..Default::default()
    };
    let request = BatchUpdateBlobsRequest {
        instance_name: instance.to_owned(),
        requests: blobs.iter().map(request).collect(),
        digest_function: digest_function::Value::Sha256.into(),
    };
    let call = Call::Unary { method: UPDATE, request: request.encode_to_vec().into() };
    Op { call, keep: Keep::All, expect: Expect::Updated(blobs) }
}

impl Workload for BatchUpdate {
    fn stock(&mut self, _content: &mut Content) -> Vec<Op> {
        Vec::new()
    }

    fn wave(&mut self, content: &mut Content, calls: usize) -> Wave {
        let batches: Vec<_> = (0..calls).map(|_| new_batch(content)).collect();
        let blobs: Vec<_> = batches.iter().flat_map(|batch| batch.iter().cloned().map(Arc::new)).collect();
        let ops = batches.into_iter().map(|batch| update(&self.instance, batch)).collect();
        proven(&self.instance, &blobs, ops)
    }

    fn wave_calls(&self) -> (usize, usize) {
        (64, 1_024)
    }

    fn call_bytes(&self) -> Option<usize> {
        Some(BLOBS * BLOB_BYTES)
    }
}

impl Workload for BatchRead {
    fn stock(&mut self, content: &mut Content) -> Vec<Op> {
        let batches: Vec<_> = (0..BATCHES).map(|_| new_batch(content)).collect();
        self.batches = batches.iter().map(|batch| read(&self.instance, Arc::clone(batch))).collect();
        batches.into_iter().map(|batch| update(&self.instance, batch)).collect()
    }

    fn wave(&mut self, content: &mut Content, calls: usize) -> Wave {
        let ops = (0..calls).map(|call| Op { keep: keep_some(content), ..self.batches[call % BATCHES].clone() });
        Wave { ops: ops.collect(), ..Wave::default() }
    }

    fn wave_calls(&self) -> (usize, usize) {
        (64, 4_096)
    }

    fn call_bytes(&self) -> Option<usize> {
        Some(BLOBS * BLOB_BYTES)
    }
}

fn new_batch(content: &mut Content) -> Arc<Vec<Blob>> {
    Arc::new((0..BLOBS).map(|_| content.blob(BLOB_BYTES)).collect())
}

fn read(instance: &str, blobs: Arc<Vec<Blob>>) -> Op {
    let request = BatchReadBlobsRequest {
        instance_name: instance.to_owned(),
        digests: blobs.iter().map(Blob::digest).collect(),
        digest_function: digest_function::Value::Sha256.into(),
        ..Default::default()
    };
    let call = Call::Unary { method: READ, request: request.encode_to_vec().into() };
    Op { call, keep: Keep::All, expect: Expect::Batch(blobs) }
}
