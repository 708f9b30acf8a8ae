//! The runner against a server that records what it hears and can fail in every way a network can.

mod action_run;
mod action_sandbox;
mod action_task;
mod checkout;
mod control;
mod fake_cas;
mod fake_server;
mod fixture;
mod identity;
mod jobs;
mod leftovers;
mod log_stream;
mod polling;
mod wine;
