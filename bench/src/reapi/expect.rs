//! What a right server answers. A wrong one must not win: each answer is checked, when the clock has stopped.

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result, bail, ensure};
use bazel_remote_apis::build::bazel::remote::execution::v2::{
    ActionResult, BatchReadBlobsResponse, BatchUpdateBlobsResponse, ExecuteResponse, FindMissingBlobsResponse,
};
use bazel_remote_apis::google::bytestream::WriteResponse;
use bazel_remote_apis::google::longrunning::{Operation, operation};
use bazel_remote_apis::google::rpc;
use bytes::Bytes;
use prost::Message;
use tonic::{Code, Status};

use super::call::Answer;
use super::content::Blob;

/// What is expected of an answer. Where content is looked at, it is that of the pieces that were kept.
#[derive(Clone)]
pub enum Expect {
    /// A message that says nothing.
    Empty,
    /// A body of this length.
    Length(u64),
    /// FindMissingBlobs: exactly these, each once.
    Missing(Arc<Missing>),
    /// BatchUpdateBlobs: all of these, stored.
    Updated(Arc<Vec<Blob>>),
    /// BatchReadBlobs: all of these.
    Batch(Arc<Vec<Blob>>),
    /// ByteStream.Write: this many bytes are stored.
    Committed(u64),
    /// ByteStream.Read: this blob.
    Blob(Arc<Blob>),
    /// GetActionResult, UpdateActionResult: this result (the server may have added metadata).
    Action(Arc<ActionResult>),
    /// NOT_FOUND.
    NotFound,
    /// Execute: done, with exit code 0, and from the cache or not.
    Executed {
        /// Whether the result must come from the cache.
        cached: bool,
    },
    /// Execute: what all with the same cell got, which the first puts there: one execution.
    SameExecution(Arc<OnceLock<ActionResult>>),
}

/// Hashes that are missing, and the length of the message that says so.
pub struct Missing {
    /// The hashes.
    pub hashes: HashSet<String>,
    /// The length of the message that has them, in bytes: the same for each order.
    pub message_bytes: u64,
}

impl Expect {
    /// Whether it came.
    pub fn check(&self, answer: Result<Answer, Status>) -> Result<()> {
        let answer = match answer {
            Err(status) if matches!(self, Self::NotFound) && status.code() == Code::NotFound => return Ok(()),
            Err(status) => bail!("{:?}: {}", status.code(), status.message()),
            Ok(answer) => answer,
        };
        let (bytes, message) = (answer.bytes, answer.kept.first().map(|(_, message)| message.clone()));
        match self {
            Self::Empty => same("length of the answer", bytes, 0),
            Self::Length(length) => same("length of the body", bytes, *length),
            Self::Missing(expected) => missing(expected, bytes, message),
            Self::Updated(blobs) => updated(blobs, message),
            Self::Batch(blobs) => batch(blobs, bytes, message),
            Self::Committed(size) => {
                let committed = WriteResponse::decode(message.unwrap_or_default())?.committed_size;
                same("committed_size", committed.cast_unsigned(), *size)
            }
            Self::Blob(blob) => {
                same("length of the blob", bytes, blob.size)?;
                let wrong = answer.kept.iter().find(|(at, piece)| !blob.has(*at, piece));
                wrong.map_or(Ok(()), |(at, _)| bail!("wrong content after byte {at} of blob {}", blob.hash))
            }
            Self::Action(result) => action(result, bytes, message),
            Self::NotFound => bail!("an action result that nobody ever stored"),
            Self::Executed { cached } => {
                let response = executed(message)?;
                ensure!(response.cached_result == *cached, "cached_result is {}", response.cached_result);
                Ok(())
            }
            Self::SameExecution(first) => {
                let result = executed(message)?.result.unwrap_or_default();
                let first = first.get_or_init(|| result.clone());
                let same = first.stdout_raw == result.stdout_raw && first.stdout_digest == result.stdout_digest;
                ensure!(same, "the action was executed more than once");
                Ok(())
            }
        }
    }
}

fn same(what: &str, value: u64, expected: u64) -> Result<()> {
    ensure!(value == expected, "{what} is {value}, not {expected}");
    Ok(())
}

fn missing(expected: &Missing, bytes: u64, message: Option<Bytes>) -> Result<()> {
    same("length of the answer", bytes, expected.message_bytes)?;
    let Some(message) = message else { return Ok(()) };
    let digests = FindMissingBlobsResponse::decode(message)?.missing_blob_digests;
    let hashes: HashSet<String> = digests.into_iter().map(|digest| digest.hash).collect();
    ensure!(hashes == expected.hashes, "other blobs are missing than should be");
    Ok(())
}

fn updated(blobs: &[Blob], message: Option<Bytes>) -> Result<()> {
    let responses = BatchUpdateBlobsResponse::decode(message.unwrap_or_default())?.responses;
    let mut stored = HashSet::new();
    for response in responses {
        stored_status(response.status.as_ref())?;
        stored.insert(response.digest.unwrap_or_default().hash);
    }
    ensure!(blobs.iter().all(|blob| stored.contains(&blob.hash)), "not every blob of the batch was answered");
    Ok(())
}

fn stored_status(status: Option<&rpc::Status>) -> Result<()> {
    match status {
        Some(status) if status.code != 0 => {
            bail!("a blob of the batch: {}: {}", Code::from(status.code), status.message)
        }
        _ => Ok(()),
    }
}

fn batch(blobs: &[Blob], bytes: u64, message: Option<Bytes>) -> Result<()> {
    let total: u64 = blobs.iter().map(|blob| blob.size).sum();
    ensure!(bytes > total, "an answer of {bytes} bytes for blobs of {total}");
    let Some(message) = message else { return Ok(()) };
    let mut responses = std::collections::HashMap::new();
    for response in BatchReadBlobsResponse::decode(message)?.responses {
        stored_status(response.status.as_ref())?;
        responses.insert(response.digest.unwrap_or_default().hash, response.data);
    }
    for blob in blobs {
        let data = responses.get(&blob.hash).map_or(&[][..], Vec::as_slice);
        ensure!(data.len() as u64 == blob.size && blob.has(0, data), "wrong content of blob {}", blob.hash);
    }
    Ok(())
}

/// What the last message of an Execute says of its end.
fn executed(message: Option<Bytes>) -> Result<ExecuteResponse> {
    let operation = Operation::decode(message.context("an Execute without an answer")?)?;
    ensure!(operation.done, "the stream ended before the operation was done");
    let response = match operation.result {
        Some(operation::Result::Response(any)) => ExecuteResponse::decode(any.value.as_slice())?,
        Some(operation::Result::Error(status)) => bail!("{:?}: {}", Code::from(status.code), status.message),
        None => bail!("an operation that is done, without a result"),
    };
    stored_status(response.status.as_ref())?;
    let exit_code = response.result.as_ref().context("no action result")?.exit_code;
    ensure!(exit_code == 0, "exit code {exit_code}: {}", response.message);
    Ok(response)
}

fn action(result: &ActionResult, bytes: u64, message: Option<Bytes>) -> Result<()> {
    ensure!(bytes > 0, "an empty action result");
    let Some(message) = message else { return Ok(()) };
    let got = ActionResult::decode(message)?;
    let equal = got.output_files == result.output_files && got.exit_code == result.exit_code;
    ensure!(equal, "another action result than was stored");
    Ok(())
}
