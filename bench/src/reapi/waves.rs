//! Makes many calls, so many at once, and says how long they took. Answers are checked when the clock has stopped.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use millrace_bench::client::Client;
use tonic::Status;

use super::call::{Answer, Call, Caller, Keep};
use super::expect::Expect;
use crate::samples::Samples;

/// A call and what is expected of it.
#[derive(Clone)]
pub struct Op {
    /// The call.
    pub call: Call,
    /// What of its answer is looked at.
    pub keep: Keep,
    /// What has to come.
    pub expect: Expect,
}

/// Connections to one server.
pub struct Connections {
    clients: Vec<Client>,
    url: String,
}

/// What a wave measured.
#[derive(Default)]
pub struct Measured {
    /// How many calls there were.
    pub calls: usize,
    /// How long they took together.
    pub took: Duration,
    /// How long each took.
    pub latencies: Samples,
}

type Timed = (usize, Duration, Result<Answer, Status>);

impl Connections {
    /// So many connections, each made with its first call.
    pub fn new(url: &str, token: &str, count: usize) -> Result<Self> {
        let clients = (0..count.max(1)).map(|_| Client::new(url, token)).collect::<Result<_>>()?;
        Ok(Self { clients, url: url.to_owned() })
    }

    /// Makes all calls, so many at once over all connections.
    pub async fn make(&self, ops: Vec<Op>, at_once: usize) -> Result<Measured> {
        let (ops, next) = (Arc::new(ops), Arc::new(AtomicUsize::new(0)));
        let began = Instant::now();
        let callers: Vec<_> = (0..at_once.clamp(1, ops.len().max(1)))
            .map(|number| {
                let caller = Caller::new(&self.clients[number % self.clients.len()], &self.url);
                tokio::spawn(call_on(caller, Arc::clone(&ops), Arc::clone(&next)))
            })
            .collect();
        let mut all = Vec::with_capacity(callers.len());
        for caller in callers {
            all.push(caller.await?);
        }
        let mut measured = Measured { calls: ops.len(), took: began.elapsed(), latencies: Samples::default() };
        for (index, latency, answer) in all.into_iter().flatten() {
            measured.latencies.push(latency);
            ops[index].expect.check(answer).with_context(|| format!("call {index} of {}", ops.len()))?;
        }
        Ok(measured)
    }
}

impl Measured {
    /// Those of another wave as well.
    pub fn add(&mut self, other: Self) {
        self.calls += other.calls;
        self.took += other.took;
        self.latencies.extend(other.latencies);
    }

    /// Calls in a second.
    pub fn rate(&self) -> f64 {
        self.calls as f64 / self.took.as_secs_f64().max(f64::MIN_POSITIVE)
    }
}

async fn call_on(mut caller: Caller, ops: Arc<Vec<Op>>, next: Arc<AtomicUsize>) -> Vec<Timed> {
    let mut timed = Vec::new();
    loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        let Some(op) = ops.get(index) else { return timed };
        let called = Instant::now();
        let answer = caller.make(&op.call, op.keep).await;
        timed.push((index, called.elapsed(), answer));
    }
}
