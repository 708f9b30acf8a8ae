//! What is kept of the log room, and how long.
//!
//! Logs come and go in *units*: all logs of a run, the console of a build, a stream of bytes. Of a named log records go
//! from the front. What is to go is a pure function of what there is ([`policy`]); the [`Reaper`] surveys the store a
//! part at a time, asks whose each unit is ([`LogOwners`]), and removes. Nothing of what goes on, or is being written or
//! followed, is touched. A sweep may be dropped at any time: the next one finds what it has left.
//!
//! This module knows no store of runs or builds, and not how a removal is told.

mod candidates;
mod kind;
mod owner;
pub mod policy;
mod reaper;
mod records;
mod room;
mod sweep;
#[cfg(test)]
mod tests;
mod unit;

pub use kind::LogKind;
pub use owner::{LogOwners, Owned};
pub use policy::{Reason, Retention};
pub use reaper::Reaper;
pub use sweep::{LogSweep, LogUsage, RemovedLogs, RoomUsage, SweepListener};
pub use unit::LogOf;
