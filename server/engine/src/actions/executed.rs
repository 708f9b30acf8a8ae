//! How long an action ran, by what its result says.

use buffa_types::google::protobuf::Timestamp;
use millrace_proto::reapi::ActionResult;

/// The longest time that is believed, in milliseconds: a week.
const EXECUTED_MAX_MS: i64 = 7 * 24 * 3_600_000;

/// The time between the start and the end of the execution, or of the worker's part in it, in milliseconds; 0: not said,
/// or not to be believed.
pub fn executed_ms(result: &ActionResult) -> u64 {
    let Some(metadata) = result.execution_metadata.as_option() else { return 0 };
    let execution =
        between(metadata.execution_start_timestamp.as_option(), metadata.execution_completed_timestamp.as_option());
    let worker =
        || between(metadata.worker_start_timestamp.as_option(), metadata.worker_completed_timestamp.as_option());
    execution.or_else(worker).unwrap_or(0)
}

fn between(start: Option<&Timestamp>, end: Option<&Timestamp>) -> Option<u64> {
    let ms = |time: &Timestamp| time.seconds.checked_mul(1_000)?.checked_add(i64::from(time.nanos) / 1_000_000);
    let spent = ms(end?)?.checked_sub(ms(start?)?)?;
    (0..=EXECUTED_MAX_MS).contains(&spent).then_some(spent as u64)
}
