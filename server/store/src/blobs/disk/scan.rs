//! Reads a pack that has no index: record by record, each with its crc. Behind damage it looks for the next record; what
//! comes after the last good one is the torn end of a write that nobody was told of.

use std::io;
use std::path::Path;

use memchr::memmem;

use super::pack::{PACK_HEAD_BYTES, pack_path};
use super::record::{HEADER_BYTES, Header, MAGIC};

/// The good records with their offsets, and where the last of them ends.
pub fn scan_pack(folder: &Path, number: u32) -> io::Result<(Vec<(u32, Header)>, u64)> {
    let bytes = std::fs::read(pack_path(folder, number))?;
    let mut found = Vec::new();
    let (mut at, mut end) = (PACK_HEAD_BYTES as usize, PACK_HEAD_BYTES);
    while at < bytes.len() {
        if let Some(header) = good_record(&bytes[at..]) {
            found.push((at as u32, header));
            at += header.record_len() as usize;
            end = at as u64;
        } else {
            let next = memmem::find(&bytes[at + 1..], &MAGIC);
            at = next.map_or(bytes.len(), |next| at + 1 + next);
        }
    }
    Ok((found, end))
}

fn good_record(bytes: &[u8]) -> Option<Header> {
    let header = Header::decode(bytes)?;
    let data = bytes.get(HEADER_BYTES..)?.get(..header.stored_len as usize)?;
    (crc32fast::hash(data) == header.data_crc).then_some(header)
}
