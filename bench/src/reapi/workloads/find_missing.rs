//! FindMissingBlobs.

use std::collections::HashSet;
use std::sync::Arc;

use bazel_remote_apis::build::bazel::remote::execution::v2::{
    Digest, FindMissingBlobsRequest, FindMissingBlobsResponse, digest_function,
};
use prost::Message;

use super::super::call::{Call, Keep};
use super::super::content::{Blob, Content};
use super::super::expect::{Expect, Missing};
use super::super::waves::Op;
use super::super::workload::{Wave, Workload};
use super::{batch, keep_some};

const METHOD: &str = "/build.bazel.remote.execution.v2.ContentAddressableStorage/FindMissingBlobs";
/// How many digests a call has.
const DIGESTS: usize = 1_000;
/// How many of them are missing.
const ABSENT: usize = DIGESTS / 2;
/// How many different calls there are.
const CALLS: usize = 8;
/// The blobs that are there, in bytes.
const BLOB_BYTES: usize = 100;

/// A call that asks for nothing.
pub struct EmptyCall {
    pub instance: String,
}

/// Half of a thousand is missing.
pub struct FindMissing {
    pub instance: String,
    pub asked: Vec<Op>,
}

/// Calls that find none of these missing.
pub fn all_there(instance: &str, digests: &[Digest]) -> Vec<Op> {
    digests.chunks(DIGESTS).map(|some| find(instance, some.to_vec(), Vec::new())).collect()
}

impl Workload for EmptyCall {
    fn stock(&mut self, _content: &mut Content) -> Vec<Op> {
        Vec::new()
    }

    fn wave(&mut self, _content: &mut Content, calls: usize) -> Wave {
        let op = Op { keep: Keep::Length, expect: Expect::Empty, ..find(&self.instance, Vec::new(), Vec::new()) };
        Wave { ops: vec![op; calls], ..Wave::default() }
    }

    fn wave_calls(&self) -> (usize, usize) {
        (2_000, 200_000)
    }
}

impl Workload for FindMissing {
    fn stock(&mut self, content: &mut Content) -> Vec<Op> {
        let mut uploads = Vec::new();
        for _ in 0..CALLS {
            let present: Vec<Blob> = (0..DIGESTS - ABSENT).map(|_| content.blob(BLOB_BYTES)).collect();
            let absent: Vec<Digest> = (0..ABSENT).map(|_| content.digest(BLOB_BYTES as i64)).collect();
            let digests = present.iter().map(Blob::digest).collect();
            self.asked.push(find(&self.instance, mixed(digests, absent.clone(), content), absent));
            uploads.push(batch::update(&self.instance, Arc::new(present)));
        }
        uploads
    }

    fn wave(&mut self, content: &mut Content, calls: usize) -> Wave {
        let ops = (0..calls).map(|call| Op { keep: keep_some(content), ..self.asked[call % CALLS].clone() });
        Wave { ops: ops.collect(), ..Wave::default() }
    }

    fn wave_calls(&self) -> (usize, usize) {
        (200, 8_000)
    }
}

fn find(instance: &str, blob_digests: Vec<Digest>, absent: Vec<Digest>) -> Op {
    let answer = FindMissingBlobsResponse { missing_blob_digests: absent };
    let missing = Missing {
        message_bytes: answer.encoded_len() as u64,
        hashes: answer.missing_blob_digests.into_iter().map(|digest| digest.hash).collect::<HashSet<_>>(),
    };
    let instance_name = instance.to_owned();
    let digest_function = digest_function::Value::Sha256.into();
    let request = FindMissingBlobsRequest { instance_name, blob_digests, digest_function }.encode_to_vec().into();
    Op { call: Call::Unary { method: METHOD, request }, keep: Keep::All, expect: Expect::Missing(Arc::new(missing)) }
}

/// In no order.
fn mixed(mut digests: Vec<Digest>, absent: Vec<Digest>, content: &mut Content) -> Vec<Digest> {
    digests.extend(absent);
    for last in (1..digests.len()).rev() {
        digests.swap(last, content.below(last as u64 + 1) as usize);
    }
    digests
}
