//! The edge of Millrace: everything that speaks HTTP or RPC, and the command line.

pub mod app;
pub mod assets;
pub mod auth;
pub mod cache;
pub mod cli;
pub mod config;
pub mod dev;
mod execution_streams;
pub mod http;
mod log_keeping;
mod log_masks;
pub mod metrics;
mod open_files;
pub mod rpc;
pub mod serve;
pub mod telemetry;
