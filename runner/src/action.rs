//! An action of remote execution from its task to its last word: inputs, the command with all it starts, outputs.
//! Knows nothing of polling.

mod cas;
mod directories;
mod error;
mod file_cache;
mod inputs;
mod materialise;
mod output_paths;
mod outputs;
mod spool;

pub use cas::Cas;
pub use error::{ActionError, Result};
pub use inputs::{Inputs, Laid};
pub use outputs::{Finished, Outputs};
pub use spool::Spool;
