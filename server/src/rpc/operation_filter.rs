//! Filters of `ListOperations`: conditions that all hold, `stage=executing AND invocation=5f2c...`. Knows no operation.

use millrace_engine::error::{Error, Result};
use millrace_engine::execution::{OperationQuery, Stage};

/// The longest filter, in bytes.
const FILTER_MAX_BYTES: usize = 4_096;
/// What there is to filter by, for messages.
const SUPPORTED: &str = "done=true|false, stage=queued|executing|completed, action=HASH, invocation=ID, joined by AND";

/// The query of a filter; an empty one asks for all.
pub fn parse(filter: &str) -> Result<OperationQuery> {
    if filter.len() > FILTER_MAX_BYTES {
        return Err(invalid(format!("is longer than {FILTER_MAX_BYTES} bytes")));
    }
    let mut query = OperationQuery::default();
    let joined = filter.replace(" AND ", "&").replace(" and ", "&");
    for condition in joined.split('&').map(str::trim).filter(|condition| !condition.is_empty()) {
        let (key, value) = condition
            .split_once(['=', ':'])
            .filter(|(key, _)| !key.trim_end().ends_with(['!', '<', '>', '-']))
            .ok_or_else(|| invalid(format!("{condition:?} can't be read; there is {SUPPORTED}")))?;
        let value = value.trim().trim_start_matches('=').trim().trim_matches('"');
        match key.trim() {
            "done" => query.done = Some(flag(value)?),
            "stage" | "metadata.stage" => query.stages.extend(stages(value)?),
            "action" | "action_digest" | "metadata.action_digest.hash" => {
                hash(value).clone_into(&mut query.action_hash);
            }
            "invocation" | "invocation_id" | "tool_invocation_id" => value.clone_into(&mut query.invocation_id),
            other => return Err(invalid(format!("{other:?} is nothing to filter by; there is {SUPPORTED}"))),
        }
    }
    Ok(query)
}

fn flag(value: &str) -> Result<bool> {
    value.to_ascii_lowercase().parse().map_err(|_| invalid(format!("done is true or false, not {value:?}")))
}

fn stages(value: &str) -> Result<Vec<Stage>> {
    Ok(match value.to_ascii_lowercase().as_str() {
        "queued" => vec![Stage::Queued],
        "executing" => vec![Stage::InputFetch, Stage::Executing, Stage::OutputUpload],
        "completed" => vec![Stage::Done],
        _ => return Err(invalid(format!("stage is queued, executing or completed, not {value:?}"))),
    })
}

/// The hash of a digest, which may come with its size: `{hash}/{size}`.
fn hash(value: &str) -> &str {
    value.split('/').next().unwrap_or(value)
}

fn invalid(message: String) -> Error {
    Error::Invalid { field: "filter", message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read_however_they_are_joined() {
        let query = parse("done=false AND stage = Executing & action:\"abc/12\" && invocation=x").unwrap();
        assert_eq!((query.done, query.action_hash.as_str(), query.invocation_id.as_str()), (Some(false), "abc", "x"));
        assert_eq!(query.stages, [Stage::InputFetch, Stage::Executing, Stage::OutputUpload]);
        let all = parse("").unwrap();
        assert!(all.done.is_none() && all.stages.is_empty() && all.action_hash.is_empty());
    }

    #[test]
    fn what_is_not_understood_is_said_with_what_would_be() {
        for (filter, words) in [
            ("priority=3", "\"priority\""),
            ("stage=sleeping", "\"sleeping\""),
            ("done=perhaps", "\"perhaps\""),
            ("nonsense", "\"nonsense\""),
            ("stage!=completed", "there is done="),
            ("queued_time>=yesterday", "there is done="),
        ] {
            let error = parse(filter).unwrap_err().to_string();
            assert!(error.starts_with("filter: ") && error.contains(words), "{filter}: {error}");
        }
        assert!(parse(&"x".repeat(5_000)).unwrap_err().to_string().contains("4096"));
    }
}
