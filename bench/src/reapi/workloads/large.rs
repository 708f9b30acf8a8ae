//! ByteStream with blobs of many messages (two at least). They have all but their first and last message's data in common, so that
//! making and hashing a new one costs little memory and time between the waves.

use std::sync::Arc;

use bazel_remote_apis::google::bytestream::WriteRequest;
use bytes::Bytes;
use prost::Message;
use sha2::{Digest, Sha256};

use super::super::call::{Call, Keep};
use super::super::content::{Blob, Content, hexadecimal};
use super::super::expect::Expect;
use super::super::waves::Op;
use super::super::workload::{Wave, Workload};
use super::{find_missing, small};

const MESSAGE_BYTES: usize = 1024 * 1024;
/// Calls at once.
const AT_ONCE: usize = 8;
/// How many blobs there are to be read.
const BLOBS: usize = 8;

/// New blobs.
pub struct LargeWrite {
    pub instance: String,
    pub messages: usize,
    pub base: Option<Base>,
}

/// Blobs that are there.
pub struct LargeRead {
    pub instance: String,
    pub messages: usize,
    pub blobs: Vec<Arc<Blob>>,
}

/// What the large blobs of a measurement share: all but the last message.
pub struct Base {
    pieces: Vec<Bytes>,
    /// The messages but the first and the last.
    messages: Vec<Bytes>,
    hash: Sha256,
}

impl Workload for LargeWrite {
    fn stock(&mut self, content: &mut Content) -> Vec<Op> {
        self.base = Some(Base::new(content, self.messages));
        Vec::new()
    }

    fn wave(&mut self, content: &mut Content, calls: usize) -> Wave {
        let base = self.base.get_or_insert_with(|| Base::new(content, self.messages));
        let blobs: Vec<_> = (0..calls).map(|_| base.blob(content)).collect();
        let ops = blobs.iter().map(|blob| base.write(&self.instance, blob, content)).collect();
        let digests: Vec<_> = blobs.iter().map(|blob| blob.digest()).collect();
        let mut proof = find_missing::all_there(&self.instance, &digests);
        proof.extend(blobs.last().map(|blob| small::read(&self.instance, blob, Keep::All)));
        Wave { ops, proof, ..Wave::default() }
    }

    fn wave_calls(&self) -> (usize, usize) {
        (AT_ONCE, 4 * AT_ONCE)
    }

    fn at_once(&self) -> Option<usize> {
        Some(AT_ONCE)
    }

    fn call_bytes(&self) -> Option<usize> {
        Some(self.messages * MESSAGE_BYTES)
    }
}

impl Workload for LargeRead {
    fn stock(&mut self, content: &mut Content) -> Vec<Op> {
        let base = Base::new(content, self.messages);
        self.blobs = (0..BLOBS).map(|_| base.blob(content)).collect();
        self.blobs.iter().map(|blob| base.write(&self.instance, blob, content)).collect()
    }

    fn wave(&mut self, content: &mut Content, calls: usize) -> Wave {
        let ops = (0..calls).map(|call| {
            let keep = Keep::At(content.below((self.messages * MESSAGE_BYTES) as u64));
            small::read(&self.instance, &self.blobs[call % BLOBS], keep)
        });
        Wave { ops: ops.collect(), ..Wave::default() }
    }

    fn wave_calls(&self) -> (usize, usize) {
        (AT_ONCE, 16 * AT_ONCE)
    }

    fn at_once(&self) -> Option<usize> {
        Some(AT_ONCE)
    }

    fn call_bytes(&self) -> Option<usize> {
        Some(self.messages * MESSAGE_BYTES)
    }
}

impl Base {
    fn new(content: &mut Content, messages: usize) -> Self {
        let pieces: Vec<_> = (1..messages).map(|_| content.bytes(MESSAGE_BYTES)).collect();
        let mut hash = Sha256::new();
        for piece in &pieces {
            hash.update(piece);
        }
        let messages = pieces.iter().enumerate().skip(1).map(|(number, piece)| message("", number, piece, false));
        Self { messages: messages.collect(), pieces, hash }
    }

    fn blob(&self, content: &mut Content) -> Arc<Blob> {
        let last = content.bytes(MESSAGE_BYTES);
        let hash = hexadecimal(&self.hash.clone().chain_update(&last).finalize());
        let pieces: Vec<_> = self.pieces.iter().cloned().chain([last]).collect();
        Arc::new(Blob { hash, size: (pieces.len() * MESSAGE_BYTES) as u64, pieces })
    }

    fn write(&self, instance: &str, blob: &Blob, content: &mut Content) -> Op {
        let name = small::upload(instance, blob, content);
        let last = blob.pieces.len() - 1;
        let mut messages = vec![message(&name, 0, &blob.pieces[0], false)];
        messages.extend(self.messages.iter().cloned());
        messages.push(message("", last, &blob.pieces[last], true));
        Op { call: Call::Write { messages }, keep: Keep::All, expect: Expect::Committed(blob.size) }
    }
}

fn message(name: &str, number: usize, piece: &Bytes, finish_write: bool) -> Bytes {
    let request = WriteRequest {
        resource_name: name.to_owned(),
        write_offset: (number * MESSAGE_BYTES) as i64,
        finish_write,
        data: piece.to_vec(),
    };
    request.encode_to_vec().into()
}
