//! One `ByteStream.Write` of a blob: the messages of an upload in their order. A client that breaks off finds what it sent when it
//! comes back with the same name; one that breaks the rules finds nothing.

use std::sync::Arc;
use std::time::Duration;

use connectrpc::{ConnectError, InboundStream, RequestContext, StreamMessage};
use futures::StreamExt;
use millrace_engine::blobs::{Encoding, Upload, UploadName, UploadStart, UploadStep};
use millrace_proto::bytestream::__buffa::view::WriteRequestView;
use millrace_proto::bytestream::WriteRequest;

use super::byte_stream::{Written, write_name};
use super::byte_stream_log;
use super::cas::piece;
use super::status::status;
use crate::app::App;

/// How long the end of the stream is awaited after `finish_write`, in milliseconds: what comes before it is a fault of the
/// client's, but not every client ends its stream before it has its answer.
const END_WAIT_MS: u64 = 200;

/// How long a client may send nothing in the middle of an upload, in milliseconds: space is reserved for it.
const STALL_MAX_MS: u64 = 300_000;

/// Takes an upload; answers its `committed_size`.
pub async fn write(
    app: &Arc<App>,
    ctx: &RequestContext,
    mut requests: InboundStream<WriteRequest>,
) -> Result<i64, ConnectError> {
    let Some(first) = requests.next().await else {
        return Err(ConnectError::invalid_argument("resource_name: there is no message; the first must have it"));
    };
    let first = first?;
    let said = first.view().resource_name;
    if said.is_empty() {
        return Err(ConnectError::invalid_argument("resource_name: is missing in the first message"));
    }
    let name = match write_name(app, ctx, said)? {
        Written::Blob(name) => name,
        Written::Log(log) => return byte_stream_log::write(app, ctx, &log, first, requests).await,
    };
    let offset = offset(first.view())?;
    match app.cache.blobs.upload(name.clone(), offset).await.map_err(status)? {
        UploadStart::Exists => Ok(exists(&name)),
        UploadStart::Upload(upload) => {
            let said = said.to_owned();
            messages(upload, &name, &said, first, requests).await
        }
    }
}

/// A blob that was here already, or is here now by somebody else's upload. How many bytes of a compressed form would have
/// been taken nobody can know.
fn exists(name: &UploadName) -> i64 {
    match name.encoding {
        Encoding::Identity => name.digest.size_wire(),
        Encoding::Zstd => -1,
    }
}

async fn messages(
    mut upload: Upload,
    name: &UploadName,
    said: &str,
    first: StreamMessage<WriteRequest>,
    mut requests: InboundStream<WriteRequest>,
) -> Result<i64, ConnectError> {
    let mut message = first;
    loop {
        let request = message.view();
        if !request.resource_name.is_empty() && request.resource_name != said {
            return Err(refuse(upload, "resource_name: changes within the stream"));
        }
        let at = offset(request)?;
        let data = piece(message.bytes(), request.data);
        let finish = request.finish_write;
        match upload.write(at, data).await.map_err(status)? {
            UploadStep::More => {}
            UploadStep::ExistsNow => return Ok(exists(name)),
        }
        if finish {
            return finished(upload, requests).await;
        }
        let next = tokio::time::timeout(Duration::from_millis(STALL_MAX_MS), requests.next()).await;
        let Ok(next) = next else {
            let message =
                format!("the upload stood still for {STALL_MAX_MS} ms; go on from what QueryWriteStatus says");
            return Err(ConnectError::deadline_exceeded(message));
        };
        message = match next {
            // Cut off: what came is kept for the client to go on with.
            Some(message) => message?,
            None => return Err(refuse(upload, "finish_write: the stream ended before a message with it")),
        };
    }
}

/// The committed size after a whole upload is what was taken: the bytes of the blob, or, compressed, the bytes that were
/// sent. Clients differ in what they believe after a compressed upload: Bazel takes the count of bytes that it sent or -1 and
/// reports anything else as a broken upload, and so do clients that follow it; some Go clients want the uncompressed size.
/// No answer suits all. The count suits Bazel in every version that compresses (-1 only since 5.1), and is what the API's
/// text says.
async fn finished(upload: Upload, mut requests: InboundStream<WriteRequest>) -> Result<i64, ConnectError> {
    if at_end(&mut requests).await {
        Ok(upload.finish().await.map_err(status)? as i64)
    } else {
        Err(refuse(upload, "finish_write: a message follows the one with it"))
    }
}

/// Whether nothing follows `finish_write`. A client that went away after its last message sends nothing more either.
pub(super) async fn at_end(requests: &mut InboundStream<WriteRequest>) -> bool {
    let end = tokio::time::timeout(Duration::from_millis(END_WAIT_MS), requests.next()).await;
    !matches!(end, Ok(Some(Ok(_))))
}

/// Ends an upload whose client broke the rules: nothing of it is kept.
fn refuse(upload: Upload, message: &str) -> ConnectError {
    upload.discard();
    ConnectError::invalid_argument(message)
}

pub(super) fn offset(request: &WriteRequestView<'_>) -> Result<u64, ConnectError> {
    u64::try_from(request.write_offset)
        .map_err(|_| ConnectError::invalid_argument(format!("write_offset: {} is negative", request.write_offset)))
}
