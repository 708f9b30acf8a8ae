//! `ByteStream` for logs: a tail that reads the bytes of any log as they come, and a writer of streams whose call may last as
//! long as what it tells of. What a stream is, the engine knows.

use std::sync::Arc;

use bytes::Bytes;
use connectrpc::{ConnectError, InboundStream, RequestContext, ServiceResult, ServiceStream, StreamMessage};
use futures::{StreamExt, stream};
use millrace_engine::error::Error;
use millrace_engine::logs::streams::{ByteTail, StreamStatus};
use millrace_engine::logs::{LogId, Start};
use millrace_proto::bytestream as wire;
use millrace_proto::instance_name::InstanceName;
use millrace_proto::resource_name::WriteToken;

use super::byte_stream_write::{at_end, offset};
use super::cas_names::{caller, check};
use super::follow::Follow;
use super::segments::Segmented;
use super::status::status;
use super::until_stopping;
use crate::app::App;
use crate::auth::{Caller, Role};

/// A stream, as its write name says it.
pub struct WritableLog {
    /// Where it belongs.
    pub parent: InstanceName,
    /// Which one.
    pub id: String,
    /// The secret.
    pub token: WriteToken,
}

/// Bytes from an offset on, until the log ends or `limit` bytes were sent: of a stream, or where there is none of this id, of
/// the log with it.
pub async fn read(
    app: &Arc<App>,
    ctx: &RequestContext,
    parent: &InstanceName,
    id: &str,
    offset: u64,
    limit: Option<u64>,
) -> ServiceResult<ServiceStream<Segmented<wire::ReadResponse>>> {
    let open = async |parent: &InstanceName| {
        app.cache.instances.check(caller(ctx), parent)?;
        app.streams.tail(parent, id, offset, limit).await
    };
    let tail = match (open(parent).await, said_twice(parent)) {
        (Err(Error::NotFound(message)), Some(once)) => open(&once).await.map_err(|error| or_not_found(error, message)),
        (tail, _) => tail,
    };
    let (tail, follow) = match tail {
        Ok(tail) => (tail, None),
        Err(Error::NotFound(message)) => {
            let any = any_log(app, caller(ctx), id, offset, limit).await;
            any.map(|(tail, follow)| (tail, Some(follow)))
                .map_err(|error| or_not_found(error, message))
                .map_err(status)?
        }
        Err(error) => return Err(status(error)),
    };
    let answers = stream::unfold(Some((tail, follow)), |open: Option<(ByteTail, Option<Follow>)>| async move {
        let (mut tail, follow) = open?;
        match next(&mut tail, follow.as_ref()).await {
            Ok(Some(data)) => {
                Some((Ok(Segmented(wire::ReadResponse { data, ..Default::default() })), Some((tail, follow))))
            }
            Ok(None) => None,
            Err(error) => Some((Err(status(error)), None)),
        }
    });
    until_stopping(app, answers)
}

/// The bytes of a log that is no stream: a step's, a build's, one of records. Who may read only the cache may not read these.
async fn any_log(
    app: &Arc<App>,
    caller: &Caller,
    id: &str,
    offset: u64,
    limit: Option<u64>,
) -> Result<(ByteTail, Follow), Error> {
    let hidden = || Error::NotFound(format!("log {id}"));
    caller.may(Role::Read).map_err(|_| hidden())?;
    if LogId::parse(id).is_err() {
        return Err(hidden());
    }
    let follow = Follow::of(app, caller, id).await?;
    let tail = follow.tail(Start::Byte(offset)).await?;
    Ok((ByteTail::over(tail, offset, limit)?, follow))
}

async fn next(tail: &mut ByteTail, follow: Option<&Follow>) -> Result<Option<Bytes>, Error> {
    let Some(follow) = follow else { return tail.next().await };
    loop {
        if let Some(next) = follow.wait(tail.next()).await? {
            return next;
        }
    }
}

/// What was not found is told as it was asked for.
fn or_not_found(error: Error, message: String) -> Error {
    if matches!(error, Error::NotFound(_)) { Error::NotFound(message) } else { error }
}

/// What a client means that puts its instance before the name of a stream, which has the instance already: `X/X` and
/// `X/logstreams/X` are X, where there is no such stream.
fn said_twice(parent: &InstanceName) -> Option<InstanceName> {
    let text = parent.as_str();
    let halves = |between: &str| {
        let length = text.len().checked_sub(between.len())? / 2;
        let (first, rest) = text.split_at_checked(length)?;
        let once = rest.strip_prefix(between).is_some_and(|second| !first.is_empty() && second == first);
        once.then(|| InstanceName::parse(first).ok()).flatten()
    };
    halves("/").or_else(|| halves("/logstreams/"))
}

/// Takes one call's messages, whose first is `first`; answers how many bytes of the stream are durable.
pub async fn write(
    app: &Arc<App>,
    ctx: &RequestContext,
    log: &WritableLog,
    first: StreamMessage<wire::WriteRequest>,
    mut requests: InboundStream<wire::WriteRequest>,
) -> Result<i64, ConnectError> {
    check(app, ctx, Role::CacheWrite, &log.parent)?;
    let mut writer = app.streams.writer(&log.parent, &log.id, log.token.reveal()).map_err(status)?;
    let said = first.view().resource_name.to_owned();
    let mut next = Some(first);
    loop {
        let message = match next.take() {
            Some(message) => message,
            None => tokio::select! {
                message = requests.next(), if writer.wants_more() => match message {
                    Some(message) => message?,
                    // Without finish_write: more may come in another call.
                    None => return Ok(writer.flush().await.map_err(status)?.committed as i64),
                },
                advanced = writer.advance() => {
                    advanced.map_err(status)?;
                    continue;
                }
                () = app.stopping() => {
                    writer.flush().await.map_err(status)?;
                    return Err(ConnectError::unavailable("the server is stopping"));
                }
            },
        };
        let request = message.view();
        if !request.resource_name.is_empty() && request.resource_name != said {
            return Err(ConnectError::invalid_argument("resource_name: changes within the stream"));
        }
        writer.take(offset(request)?, request.data, request.finish_write).await.map_err(status)?;
        if request.finish_write {
            let ended = writer.flush().await.map_err(status)?;
            if !at_end(&mut requests).await {
                let message = "finish_write: a message follows the one with it; the log ended there";
                return Err(ConnectError::invalid_argument(message));
            }
            return Ok(ended.committed as i64);
        }
    }
}

/// How far a stream has come.
pub async fn query(app: &App, ctx: &RequestContext, log: &WritableLog) -> Result<StreamStatus, ConnectError> {
    check(app, ctx, Role::CacheWrite, &log.parent)?;
    app.streams.status(&log.parent, &log.id, log.token.reveal()).await.map_err(status)
}
