//! The client commands: what a person types to start, watch and read runs. They talk to a server by the same calls as a
//! browser does and know nothing of stores, schedulers or how the server is built.

pub mod client;
pub mod completions;
pub mod doctor;
pub mod exit;
pub mod logs;
pub mod run;
pub mod runs;
pub mod validate;

mod follow;
mod harmless;
mod interrupt;
mod line;
mod log_printer;
mod output;
mod port_owner;
mod position;
mod progress;
mod report;
mod retry;
mod search_tail;
mod since;
mod source;
mod state;
mod tail;
mod target;
mod text;
mod watch;
