//! Runners: who they are, how they come and go. Knows nothing of what they run.

pub mod service;
mod store;
pub mod told;

pub use service::{Registration, Runners};
pub use store::{Declaration, NewRunner, RegistrationToken, Runner, RunnerStore};
