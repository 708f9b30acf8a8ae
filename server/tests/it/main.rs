//! Integration tests: a real server on a real port, real runners, and peers that share no code with either.

mod agent_grpc;
mod agent_json;
mod any_call;
mod app;
#[cfg(target_os = "linux")]
mod assets;
mod auth;
mod bad_blobs;
mod browser;
mod cas;
mod cas_client;
mod cli;
mod cli_logs;
mod commit_log;
mod events;
mod execute_client;
mod execution;
mod execution_runners;
mod fake_runner;
#[cfg(target_os = "linux")]
mod faults;
mod http;
mod http_cache;
mod log_doors;
mod log_encoding;
mod log_faults;
mod log_keeping;
mod log_masks;
mod log_reading;
mod log_room;
mod log_search;
mod log_streams;
mod operations;
#[cfg(target_os = "linux")]
mod peers;
mod projects;
mod protocols;
mod queue;
mod rest;
mod smoke;
mod spec_points;
mod tls;
mod workflows;
