//! The conformance suites of the store traits: what every back end must do, in one place. Each suite's `run` takes a
//! factory that opens an empty store, and panics where the store does not conform.

pub mod activity_store;
pub mod blob_store;
pub mod entry_store;
pub mod event_outbox;
pub mod execution_store;
pub mod invocation_store;
pub mod run_store;
pub mod runner_store;
pub mod token_store;
