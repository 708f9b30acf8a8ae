//! The runner against a server that records what it hears and can fail in every way a network can.

mod checkout;
mod control;
mod fake_server;
mod fixture;
mod identity;
mod jobs;
mod leftovers;
mod log_stream;
mod polling;
mod wine;
