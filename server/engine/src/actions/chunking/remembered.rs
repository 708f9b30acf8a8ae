//! How a blob was cut, as an entry's value: for each chunk its size in four bytes and its hash.

use bytes::{BufMut, Bytes, BytesMut};
use millrace_proto::digest::{Digest, HASH_MAX_BYTES};
use millrace_proto::instance_name::InstanceName;

use crate::blobs::{ENTRY_MAX_BYTES, EntryKey, Space};

/// The first byte of a value. It changes with the way blobs are cut.
const VERSION: u8 = 1;

/// Under which key it is remembered.
pub fn key(instance: &InstanceName, blob: &Digest) -> EntryKey {
    let mut name = BytesMut::with_capacity(1 + HASH_MAX_BYTES);
    name.put_u8(blob.function().wire() as u8);
    name.put_slice(blob.hash());
    EntryKey { space: Space::Chunks, instance: instance.clone(), name: name.freeze() }
}

/// The value; None: too much to be remembered.
pub fn write(chunks: &[Digest]) -> Option<Bytes> {
    let hash_len = chunks.first()?.function().hash_len();
    let len = 1 + chunks.len() * (4 + hash_len);
    if len > ENTRY_MAX_BYTES {
        return None;
    }
    let mut value = BytesMut::with_capacity(len);
    value.put_u8(VERSION);
    for chunk in chunks {
        value.put_u32(u32::try_from(chunk.size()).ok()?);
        value.put_slice(chunk.hash());
    }
    Some(value.freeze())
}

/// The chunks in a value; None when it is none of this blob's.
pub fn parse(blob: &Digest, value: &[u8]) -> Option<Vec<Digest>> {
    let (version, rest) = value.split_first()?;
    let one = 4 + blob.function().hash_len();
    if *version != VERSION || !rest.len().is_multiple_of(one) {
        return None;
    }
    let chunk = |bytes: &[u8]| {
        let (size, hash) = bytes.split_first_chunk::<4>()?;
        Digest::new(blob.function(), hash, u64::from(u32::from_be_bytes(*size))).ok()
    };
    let chunks: Vec<Digest> = rest.chunks_exact(one).map(chunk).collect::<Option<_>>()?;
    let size: u64 = chunks.iter().map(Digest::size).sum();
    (size == blob.size()).then_some(chunks)
}
