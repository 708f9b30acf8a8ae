//! Integration tests: a real server on a real port, real runners, and peers that share no code with either.

mod agent_grpc;
mod agent_json;
mod app;
#[cfg(target_os = "linux")]
mod faults;
mod smoke;
