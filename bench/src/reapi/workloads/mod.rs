//! One file a kind of call.

pub mod actions;
pub mod batch;
pub mod execute;
pub mod find_missing;
pub mod large;
pub mod small;

use std::sync::Arc;

use super::call::Keep;
use super::content::{Blob, Content};
use super::waves::Op;
use super::workload::Wave;

/// Of so many answers one is looked at whole.
const LOOKED_AT: u64 = 8;
/// So many blobs of a wave of writes are read again.
const READ_AGAIN: usize = 8;

/// All of some answers, the length of the others.
fn keep_some(content: &mut Content) -> Keep {
    if content.below(LOOKED_AT) == 0 { Keep::All } else { Keep::Length }
}

/// Writes, with the proof that all are stored: none is missing, and some are read again.
fn proven(instance: &str, blobs: &[Arc<Blob>], ops: Vec<Op>) -> Wave {
    let digests: Vec<_> = blobs.iter().map(|blob| blob.digest()).collect();
    let mut proof = find_missing::all_there(instance, &digests);
    let step = (blobs.len() / READ_AGAIN).max(1);
    proof.extend(blobs.iter().step_by(step).map(|blob| small::read(instance, blob, Keep::All)));
    Wave { ops, proof, ..Wave::default() }
}
