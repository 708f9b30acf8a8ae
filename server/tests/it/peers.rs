//! Peers: programs of other people, as they are installed, against a real server. They share no code with ours, and what
//! they print is what a user would see. `scripts/setup.sh` installs them; one that is missing fails its tests.

mod bazel;
mod bazel_events;
mod bazel_execution;
mod bgd;
mod bgd_execution;
mod bgd_log_stream;
mod c_project;
mod compiler_cache;
mod connect_es;
mod curl;
mod gradle;
mod grpcio;
mod tool;
