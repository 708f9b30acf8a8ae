//! ByteStream with blobs that fit into one message.

use std::sync::Arc;

use bazel_remote_apis::google::bytestream::{ReadRequest, WriteRequest};
use prost::Message;

use super::super::call::{Call, Keep};
use super::super::content::{Blob, Content};
use super::super::expect::Expect;
use super::super::waves::Op;
use super::super::workload::{Wave, Workload};
use super::{batch, keep_some, proven};

const BLOB_BYTES: usize = 1024;
/// How many blobs there are to be read.
const BLOBS: usize = 16_000;
/// How many of them are stored by one call.
const BATCH_BLOBS: usize = 1_000;

/// New blobs.
pub struct SmallWrite {
    pub instance: String,
}

/// Blobs that are there.
pub struct SmallRead {
    pub instance: String,
    pub blobs: Vec<Op>,
}

/// A call that reads a blob.
pub fn read(instance: &str, blob: &Arc<Blob>, keep: Keep) -> Op {
    let resource_name = named(instance, &format!("blobs/{}/{}", blob.hash, blob.size));
    let request = ReadRequest { resource_name, ..Default::default() }.encode_to_vec().into();
    Op { call: Call::Read { request }, keep, expect: Expect::Blob(Arc::clone(blob)) }
}

/// The name of a new upload.
pub fn upload(instance: &str, blob: &Blob, content: &mut Content) -> String {
    named(instance, &format!("uploads/{}/blobs/{}/{}", content.uuid(), blob.hash, blob.size))
}

impl Workload for SmallWrite {
    fn stock(&mut self, _content: &mut Content) -> Vec<Op> {
        Vec::new()
    }

    fn wave(&mut self, content: &mut Content, calls: usize) -> Wave {
        let blobs: Vec<_> = (0..calls).map(|_| Arc::new(content.blob(BLOB_BYTES))).collect();
        let ops = blobs.iter().map(|blob| write(&self.instance, blob, content)).collect();
        proven(&self.instance, &blobs, ops)
    }

    fn wave_calls(&self) -> (usize, usize) {
        (1_000, 100_000)
    }
}

impl Workload for SmallRead {
    fn stock(&mut self, content: &mut Content) -> Vec<Op> {
        let mut uploads = Vec::new();
        for _ in 0..BLOBS / BATCH_BLOBS {
            let blobs: Vec<_> = (0..BATCH_BLOBS).map(|_| content.blob(BLOB_BYTES)).collect();
            let reads = blobs.iter().map(|blob| read(&self.instance, &Arc::new(blob.clone()), Keep::All));
            self.blobs.extend(reads);
            uploads.push(batch::update(&self.instance, Arc::new(blobs)));
        }
        uploads
    }

    fn wave(&mut self, content: &mut Content, calls: usize) -> Wave {
        let any = |content: &mut Content| self.blobs[content.below(BLOBS as u64) as usize].clone();
        let ops = (0..calls).map(|_| Op { keep: keep_some(content), ..any(content) });
        Wave { ops: ops.collect(), ..Wave::default() }
    }

    fn wave_calls(&self) -> (usize, usize) {
        (1_000, 200_000)
    }
}

fn write(instance: &str, blob: &Arc<Blob>, content: &mut Content) -> Op {
    let resource_name = upload(instance, blob, content);
    let request = WriteRequest { resource_name, write_offset: 0, finish_write: true, data: blob.pieces.concat() };
    let call = Call::Write { messages: vec![request.encode_to_vec().into()] };
    Op { call, keep: Keep::All, expect: Expect::Committed(blob.size) }
}

fn named(instance: &str, name: &str) -> String {
    if instance.is_empty() { name.to_owned() } else { format!("{instance}/{name}") }
}
