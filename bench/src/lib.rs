//! What measures Millrace from outside, and the independent client that its tests use. Knows nothing of the server's
//! code or of its code generation.

pub mod agent;
pub mod client;
pub mod program;
pub mod wire;

/// Now, in Unix milliseconds.
pub fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}
