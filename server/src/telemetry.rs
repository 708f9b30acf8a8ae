//! What the server says of itself while it runs: for people on a terminal, as JSON otherwise. On standard error:
//! standard output is for answers.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// The variable that says how much: `info`, `debug`, `millrace_engine=debug,info` ...
const FILTER_VARIABLE: &str = "MILLRACE_LOG";

/// Begins. Call once.
pub fn start(default: &str) {
    let filter = EnvFilter::try_from_env(FILTER_VARIABLE).unwrap_or_else(|_| EnvFilter::new(default));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        builder.with_target(false).with_ansi(std::env::var_os("NO_COLOR").is_none()).init();
    } else {
        builder.json().init();
    }
}
