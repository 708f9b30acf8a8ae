//! `log.v1.Log`: records by number.

#![allow(refining_impl_trait)]

use std::collections::VecDeque;
use std::sync::Arc;

use connectrpc::{
    ConnectError, InboundStream, RequestContext, Response, ServiceRequest, ServiceResult, ServiceStream, StreamMessage,
};
use futures::{Stream, StreamExt, stream};
use millrace_engine::error::{Error, Result};
use millrace_engine::logs::records::{LogRow, Producer, RecordSource, RowEvent, RowTail, Sent};
use millrace_engine::logs::{Missing, Start};
use millrace_proto::log_v1 as wire;

use super::follow::Follow;
use super::status::{out_of_log, status};
use super::until_stopping;
use crate::app::App;
use crate::auth::{self, Caller, Role};

/// So many records of one `ProduceStream` may wait for their answers; the next is read when one has its.
const PRODUCE_STREAM_WAITING_MAX_RECORDS: usize = 4_096;

/// The service.
pub struct CommitLogDoor {
    app: Arc<App>,
}

impl CommitLogDoor {
    /// Over an app.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }
}

impl wire::Log for CommitLogDoor {
    async fn produce(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, wire::ProduceRequest>,
    ) -> ServiceResult<wire::ProduceResponse> {
        let caller = writer(&ctx)?;
        let mut producing = Producing { app: Arc::clone(&self.app), caller, last: None };
        let mut sent = producing.send(request.to_owned_message()).await.map_err(status)?;
        let offset = sent.durable().await.map_err(status)?;
        Response::ok(wire::ProduceResponse { offset, ..Default::default() })
    }

    async fn consume(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, wire::ConsumeRequest>,
    ) -> ServiceResult<wire::ConsumeResponse> {
        let caller = auth::require(&ctx, Role::Read)?;
        let request = request.to_owned_message();
        match consume(&self.app, &caller, &request).await {
            Ok(row) => Response::ok(response(row)),
            Err(Error::Range(message)) => Err(out_of_log(message, request.offset)),
            Err(error) => Err(status(error)),
        }
    }

    async fn consume_stream(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, wire::ConsumeRequest>,
    ) -> ServiceResult<ServiceStream<wire::ConsumeResponse>> {
        let caller = auth::require(&ctx, Role::Read)?;
        let consuming = Consuming::open(&self.app, &caller, &request.to_owned_message()).await.map_err(status)?;
        until_stopping(&self.app, consuming.records())
    }

    async fn produce_stream(
        &self,
        ctx: RequestContext,
        requests: InboundStream<wire::ProduceRequest>,
    ) -> ServiceResult<ServiceStream<wire::ProduceResponse>> {
        let caller = writer(&ctx)?;
        let producing = Producing { app: Arc::clone(&self.app), caller, last: None };
        let call = ProduceCall { producing, requests, waiting: VecDeque::new(), ended: false, failure: None };
        until_stopping(&self.app, call.answers())
    }
}

/// Who starts runs or writes other logs may write these.
fn writer(ctx: &RequestContext) -> Result<Caller, ConnectError> {
    auth::require_either(ctx, Role::Run, Role::CacheWrite)
}

/// The log that a request means.
fn source(caller: &Caller, log: Option<&String>) -> Result<RecordSource> {
    Ok(RecordSource::parse(log.map_or("", String::as_str), caller.project().unwrap_or_default())?)
}

fn response(row: LogRow) -> wire::ConsumeResponse {
    let record = wire::Record { value: row.value, offset: row.number, ..Default::default() };
    wire::ConsumeResponse { record: record.into(), ..Default::default() }
}

async fn consume(app: &Arc<App>, caller: &Caller, request: &wire::ConsumeRequest) -> Result<LogRow> {
    let id = match source(caller, request.log.as_ref())? {
        RecordSource::Named(named) => return app.records.read(named.log(), request.offset, Missing::Wait).await,
        RecordSource::Log(id) => id,
    };
    let follow = Follow::of(app, caller, id.as_str()).await?;
    match app.records.read(&follow.id, request.offset, Missing::Refuse).await {
        Err(Error::NotFound(_)) => {
            // It may come: then it is an empty log by now.
            follow.stat().await?;
            app.records.read(&follow.id, request.offset, Missing::Wait).await
        }
        other => other,
    }
}

/// One `ConsumeStream`.
struct Consuming {
    rows: RowTail,
    /// A log that has other writers may be in need of its end.
    follow: Option<Follow>,
}

impl Consuming {
    async fn open(app: &Arc<App>, caller: &Caller, request: &wire::ConsumeRequest) -> Result<Self> {
        let from = request.offset;
        match source(caller, request.log.as_ref())? {
            RecordSource::Named(named) => {
                Ok(Self { rows: app.records.tail(named.log(), from, Missing::Wait).await?, follow: None })
            }
            RecordSource::Log(id) => {
                let follow = Follow::of(app, caller, id.as_str()).await?;
                let rows = RowTail::new(follow.tail(Start::Row(from)).await?, from);
                Ok(Self { rows, follow: Some(follow) })
            }
        }
    }

    fn records(self) -> impl Stream<Item = Result<wire::ConsumeResponse, ConnectError>> + Send + 'static {
        stream::unfold(Some(self), |consuming| async move {
            let mut consuming = consuming?;
            match consuming.next().await {
                Ok(RowEvent::Row(row)) => Some((Ok(response(row)), Some(consuming))),
                Ok(RowEvent::End(_)) => None,
                Err(error) => Some((Err(status(error)), None)),
            }
        })
    }

    async fn next(&mut self) -> Result<RowEvent> {
        let Some(follow) = &self.follow else { return self.rows.next().await };
        loop {
            if let Some(event) = follow.wait(self.rows.next()).await? {
                return event;
            }
        }
    }
}

/// What a call needs to send records.
struct Producing {
    app: Arc<App>,
    caller: Caller,
    /// The log of the last record, as the request named it.
    last: Option<(Option<String>, Producer)>,
}

impl Producing {
    async fn send(&mut self, request: wire::ProduceRequest) -> Result<Sent> {
        let record = request.record.into_option().ok_or_else(|| Error::invalid("record", "is missing"))?;
        let producer = match self.last.take() {
            Some((log, producer)) if log == request.log => producer,
            _ => self.app.records.producer(&source(&self.caller, request.log.as_ref())?)?,
        };
        let (_, producer) = self.last.insert((request.log, producer));
        producer.send(record.value).await
    }
}

/// One `ProduceStream`: records go to their logs while those before wait for their answers.
struct ProduceCall {
    producing: Producing,
    requests: InboundStream<wire::ProduceRequest>,
    waiting: VecDeque<Sent>,
    /// Nothing more is read.
    ended: bool,
    /// Why; told when all before it have their answers.
    failure: Option<ConnectError>,
}

impl ProduceCall {
    /// An answer for each record, in their order.
    fn answers(self) -> impl Stream<Item = Result<wire::ProduceResponse, ConnectError>> + Send + 'static {
        stream::unfold(Some(self), |call| async move {
            let mut call = call?;
            match call.next().await? {
                Ok(offset) => Some((Ok(wire::ProduceResponse { offset, ..Default::default() }), Some(call))),
                Err(error) => Some((Err(error), None)),
            }
        })
    }

    async fn next(&mut self) -> Option<Result<u64, ConnectError>> {
        loop {
            let reads = !self.ended && self.waiting.len() < PRODUCE_STREAM_WAITING_MAX_RECORDS;
            tokio::select! {
                biased;
                answer = answered(&mut self.waiting), if !self.waiting.is_empty() => {
                    self.waiting.pop_front();
                    return Some(answer.map_err(status));
                }
                message = self.requests.next(), if reads => self.take(message).await,
                else => return self.failure.take().map(Err),
            }
        }
    }

    async fn take(&mut self, message: Option<Result<StreamMessage<wire::ProduceRequest>, ConnectError>>) {
        let sent = match message {
            None => {
                self.ended = true;
                return;
            }
            Some(Ok(message)) => self.producing.send(message.to_owned_message()).await.map_err(status),
            Some(Err(error)) => Err(error),
        };
        match sent {
            Ok(sent) => self.waiting.push_back(sent),
            Err(error) => (self.ended, self.failure) = (true, Some(error)),
        }
    }
}

/// The answer of the one that waits longest.
async fn answered(waiting: &mut VecDeque<Sent>) -> Result<u64> {
    match waiting.front_mut() {
        Some(sent) => sent.durable().await,
        None => std::future::pending().await,
    }
}
