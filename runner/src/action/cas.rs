//! The server's content-addressable storage as a runner uses it. Knows nothing of files.

use crate::error::Error;
use crate::transport::Transport;

/// The CAS of a server. Cheap to clone.
#[derive(Clone)]
pub struct Cas;

impl Cas {
    /// The CAS of the server at this address; every call carries the runner token.
    pub fn new(_server: &str, _transport: Transport, _token: &str) -> Result<Self, Error> {
        Ok(Self)
    }
}
