//! Faults: real processes that are killed, stopped, cut off and starved, and what must be true afterwards. Each test
//! ends with a look for what is left over.

mod cache;
mod cut_connections;
mod disk_full;
mod events;
mod execution;
mod killed_at_sync;
mod proxy;
mod records;
mod runner_killed;
mod scene;
mod server_away;
mod server_killed;
mod stopped;
mod tail;
