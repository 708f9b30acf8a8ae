//! What requests for assets have in common.

use buffa_types::google::protobuf::Timestamp;
use millrace_engine::assets::Qualifiers;
use millrace_engine::error::Error;
use millrace_proto::asset as wire;

/// The qualifiers of a request.
pub fn qualifiers(list: Vec<wire::Qualifier>) -> Result<Qualifiers, Error> {
    Qualifiers::new(list.into_iter().map(|one| (one.name, one.value)).collect())
}

/// A time in Unix milliseconds, as near as that can be.
pub fn millis(time: &Timestamp) -> i64 {
    time.seconds.saturating_mul(1_000).saturating_add(i64::from(time.nanos) / 1_000_000)
}
