//! What a measurement does, as its driver sees it: calls that come in waves. Knows no connection.

use clap::ValueEnum;

use super::content::Content;
use super::waves::Op;
use super::workloads::{actions, batch, execute, find_missing, large, small};

/// A measurement. The order is that of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Name {
    /// FindMissingBlobs that asks for nothing: what a call costs
    EmptyCall,
    /// FindMissingBlobs of 1000 digests, half of them missing
    FindMissing,
    /// BatchUpdateBlobs of 100 blobs of 4 KiB
    BatchUpdate,
    /// BatchReadBlobs of 100 blobs of 4 KiB
    BatchRead,
    /// ByteStream.Write of 64 MiB, 1 MiB a message, 8 at once
    LargeWrite,
    /// ByteStream.Read of 64 MiB, 8 at once
    LargeRead,
    /// ByteStream.Write of 1 KiB
    SmallWrite,
    /// ByteStream.Read of 1 KiB
    SmallRead,
    /// UpdateActionResult
    ActionUpdate,
    /// GetActionResult of a result that is there
    ActionHit,
    /// GetActionResult of one that is not
    ActionMiss,
    /// Execute of /bin/true with one input file
    Noop,
    /// The same with 50 input files, which all actions share
    NoopInputs,
    /// Execute of an action that is in the cache
    Cached,
    /// Execute of one new action, 1000 times at once
    Merged,
}

impl Name {
    /// Whether it needs a worker.
    pub fn is_execution(self) -> bool {
        matches!(self, Self::Noop | Self::NoopInputs | Self::Cached | Self::Merged)
    }
}

/// Calls to be timed, and calls that prove that the timed ones had their effect.
#[derive(Default)]
pub struct Wave {
    /// Made before, not timed.
    pub stock: Vec<Op>,
    /// Timed.
    pub ops: Vec<Op>,
    /// Made afterwards, not timed.
    pub proof: Vec<Op>,
}

/// Makes the calls of one measurement.
pub trait Workload: Send {
    /// Calls that have to be made before the first wave, not timed.
    fn stock(&mut self, content: &mut Content) -> Vec<Op>;

    /// So many calls to be timed.
    fn wave(&mut self, content: &mut Content, calls: usize) -> Wave;

    /// How many calls the first wave has, and how many any may have.
    fn wave_calls(&self) -> (usize, usize);

    /// How many calls are made at once, where it is not as many as anywhere else.
    fn at_once(&self) -> Option<usize> {
        None
    }

    /// How many bytes of blobs a call carries, where that is what counts.
    fn call_bytes(&self) -> Option<usize> {
        None
    }
}

/// The workload of that name, on a server's instance. Large blobs have so many messages of 1 MiB.
pub fn workload(name: Name, instance: &str, messages: usize) -> Box<dyn Workload> {
    let instance = instance.to_owned();
    match name {
        Name::EmptyCall => Box::new(find_missing::EmptyCall { instance }),
        Name::FindMissing => Box::new(find_missing::FindMissing { instance, asked: Vec::new() }),
        Name::BatchUpdate => Box::new(batch::BatchUpdate { instance }),
        Name::BatchRead => Box::new(batch::BatchRead { instance, batches: Vec::new() }),
        Name::LargeWrite => Box::new(large::LargeWrite { instance, messages, base: None }),
        Name::LargeRead => Box::new(large::LargeRead { instance, messages, blobs: Vec::new() }),
        Name::SmallWrite => Box::new(small::SmallWrite { instance }),
        Name::SmallRead => Box::new(small::SmallRead { instance, blobs: Vec::new() }),
        Name::ActionUpdate => Box::new(actions::ActionUpdate { instance, outputs: Vec::new() }),
        Name::ActionHit => Box::new(actions::ActionHit { instance, stored: Vec::new() }),
        Name::ActionMiss => Box::new(actions::ActionMiss { instance }),
        Name::Noop => Box::new(execute::Noop::new(instance, 1)),
        Name::NoopInputs => Box::new(execute::Noop::new(instance, 50)),
        Name::Cached => Box::new(execute::Cached { instance, stored: Vec::new(), ran: false }),
        Name::Merged => Box::new(execute::Merged { instance }),
    }
}
