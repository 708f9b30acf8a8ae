//! The ways out of the log room, each as its own clients use it.

use std::io::Read;
use std::process::Stdio;
use std::time::Duration;

use bazel_remote_apis::google::bytestream as bs;
use futures::StreamExt;
use futures::stream::BoxStream;
use millrace_bench::wire::log_v1::ConsumeRequest;
use millrace_bench::wire::log_v1::log_client::LogClient;
use millrace_bench::wire::millrace_v1::follow_response::Event;
use millrace_bench::wire::millrace_v1::{FollowRequest, GetLogRequest, ReadLinesRequest, SearchRequest};
use serde_json::{Value, json};
use tonic::Code;

use super::contents::{Expected, lines};
use crate::app::TestApp;
use crate::cas_client::Remote;

/// So many records are consumed one by one.
const CONSUMED_MAX: usize = 100;
/// How long a tail may bring nothing, in seconds.
const QUIET_MAX_SECONDS: u64 = 20;
/// The flag of a line.
const JOINED: u64 = 1 << 3;
/// What Search tells of a line at most, in bytes.
const FOUND_TEXT_MAX_BYTES: usize = 64 * 1024;

/// How a log is read.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// Its id, as most doors take it.
    pub id: String,
    /// The run of the step whose log it is.
    pub run: Option<String>,
    /// The name by which a stream is read.
    pub stream: Option<String>,
    /// The name of a log of records.
    pub named: Option<String>,
    /// It will be complete; other logs go on for ever.
    pub ends: bool,
}

/// A way out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reader {
    /// `ReadLines`, many at a time.
    ReadLines,
    /// `ReadLines`, from the middle on and a few at a time.
    ReadLinesInParts,
    /// `Follow`.
    Follow,
    /// `Search` for lines that begin.
    Search,
    /// `GET raw`.
    Raw,
    /// `GET raw` with a range.
    RawRange,
    /// `GET raw`, as gzip if it likes.
    RawGzip,
    /// `GET raw`, as zstd if it likes.
    RawZstd,
    /// `GET raw?follow=1`.
    RawFollow,
    /// `POST logs`.
    RestLogs,
    /// `POST download`.
    Download,
    /// `ByteStream.Read` by the log's id.
    ByteStream,
    /// The same by the name of a stream.
    ByteStreamName,
    /// `ByteStream.Read` of a part.
    ByteStreamPart,
    /// `Consume` by the log's id.
    Consume,
    /// `ConsumeStream` by the log's id.
    ConsumeStream,
    /// `ConsumeStream` by a name.
    ConsumeStreamName,
    /// `millrace logs --raw`.
    CommandLine,
}

/// All of them.
pub const READERS: &[Reader] = &[
    Reader::ReadLines,
    Reader::ReadLinesInParts,
    Reader::Follow,
    Reader::Search,
    Reader::Raw,
    Reader::RawRange,
    Reader::RawGzip,
    Reader::RawZstd,
    Reader::RawFollow,
    Reader::RestLogs,
    Reader::Download,
    Reader::ByteStream,
    Reader::ByteStreamName,
    Reader::ByteStreamPart,
    Reader::Consume,
    Reader::ConsumeStream,
    Reader::ConsumeStreamName,
    Reader::CommandLine,
];

/// Those that go on with what comes.
pub const LIVE_READERS: [Reader; 4] = [Reader::Follow, Reader::RawFollow, Reader::ByteStream, Reader::ConsumeStream];

impl Reader {
    pub fn name(self) -> &'static str {
        match self {
            Self::ReadLines => "ReadLines",
            Self::ReadLinesInParts => "ReadLines in parts",
            Self::Follow => "Follow",
            Self::Search => "Search",
            Self::Raw => "GET raw",
            Self::RawRange => "GET raw with Range",
            Self::RawGzip => "GET raw as gzip",
            Self::RawZstd => "GET raw as zstd",
            Self::RawFollow => "GET raw?follow=1",
            Self::RestLogs => "POST logs",
            Self::Download => "POST download",
            Self::ByteStream => "ByteStream.Read by id",
            Self::ByteStreamName => "ByteStream.Read by name",
            Self::ByteStreamPart => "ByteStream.Read of a part",
            Self::Consume => "Consume",
            Self::ConsumeStream => "ConsumeStream by id",
            Self::ConsumeStreamName => "ConsumeStream by name",
            Self::CommandLine => "millrace logs --raw",
        }
    }

    /// Whether it reads such a log at all.
    pub fn reads(self, log: &Reading) -> bool {
        match self {
            Self::RestLogs | Self::Download => log.run.is_some(),
            Self::ByteStreamName => log.stream.is_some(),
            Self::ConsumeStreamName => log.named.is_some(),
            _ => true,
        }
    }

    /// Whether it has read what it should.
    pub async fn read(self, test: &TestApp, log: &Reading, expected: &Expected) -> Result<(), String> {
        let middle = expected.bytes.len() / 2;
        match self {
            Self::ReadLines => same_bytes(&read_lines(test, log, 0, 100_000).await?, &expected.bytes),
            Self::ReadLinesInParts => in_parts(test, log, expected).await,
            Self::Search => same_list(&search(test, log).await?, &found(expected)),
            Self::Raw => same_bytes(&raw(test, log, None, "identity").await?, &expected.bytes),
            Self::RawRange => {
                let part = raw(test, log, Some(&format!("bytes={middle}-")), "identity").await?;
                same_bytes(&part, &expected.bytes[middle..])
            }
            Self::RawGzip => same_bytes(&raw(test, log, None, "gzip").await?, &expected.bytes),
            Self::RawZstd => same_bytes(&raw(test, log, None, "zstd").await?, &expected.bytes),
            Self::RestLogs => same_list(&rest_logs(test, log).await?, &shown(expected)),
            Self::Download => same_bytes(&download(test, log).await?, &expected.bytes),
            Self::ByteStreamPart => {
                let name = format!("logstreams/{}", log.id);
                let want = &expected.bytes[middle..][..(expected.bytes.len() - middle).min(1_000)];
                let part = Remote::of(test).read_part(&name, middle as i64, want.len() as i64).await;
                same_bytes(&part.map_err(|error| error.to_string())?, want)
            }
            Self::Consume => consume(test, log, expected).await,
            Self::CommandLine => same_bytes(&command_line(test, log).await?, &expected.bytes),
            Self::Follow
            | Self::RawFollow
            | Self::ByteStream
            | Self::ByteStreamName
            | Self::ConsumeStream
            | Self::ConsumeStreamName => {
                let (mut tail, first) = self.follow(test, log, expected).await;
                first?;
                tail.rest().await
            }
        }
    }

    /// Opens a tail and waits for the first that it brings.
    pub async fn follow(self, test: &TestApp, log: &Reading, expected: &Expected) -> (Following, Result<(), String>) {
        let stream = match self {
            Self::Follow => follow(test, log).await,
            Self::RawFollow => raw_follow(test, log).await,
            Self::ByteStream => byte_stream(test, &format!("logstreams/{}", log.id)).await,
            Self::ByteStreamName => byte_stream(test, log.stream.as_deref().unwrap_or_default()).await,
            Self::ConsumeStream => consume_stream(test, Some(log.id.clone())).await,
            Self::ConsumeStreamName => consume_stream(test, log.named.clone()).await,
            other => Err(format!("{} does not follow", other.name())),
        };
        let (stream, opened) = match stream {
            Ok(stream) => (stream, Ok(())),
            Err(why) => (futures::stream::empty().boxed(), Err(why)),
        };
        let records = matches!(self, Self::ConsumeStream | Self::ConsumeStreamName);
        let expected = expected.clone();
        let mut following = Following { stream, records, ends: log.ends, expected, pieces: Vec::new(), over: false };
        if opened.is_ok() {
            let first = following.next().await;
            return (following, first);
        }
        (following, opened)
    }
}

/// A tail on its way.
pub struct Following {
    stream: BoxStream<'static, Result<Vec<u8>, String>>,
    /// Its pieces are records.
    records: bool,
    ends: bool,
    expected: Expected,
    pieces: Vec<Vec<u8>>,
    over: bool,
}

impl Following {
    /// All that comes, up to the end or up to all there is.
    pub async fn rest(&mut self) -> Result<(), String> {
        while !self.over && (self.ends || !self.has_all()) {
            self.next().await?;
        }
        if self.records {
            return same_list(&self.pieces, &self.expected.records);
        }
        same_bytes(&self.pieces.concat(), &self.expected.bytes)
    }

    async fn next(&mut self) -> Result<(), String> {
        match tokio::time::timeout(Duration::from_secs(QUIET_MAX_SECONDS), self.stream.next()).await {
            Ok(Some(piece)) => self.pieces.push(piece?),
            Ok(None) => self.over = true,
            Err(_) => {
                let pieces = self.pieces.len();
                return Err(format!("nothing came for {QUIET_MAX_SECONDS} s, after {pieces} pieces"));
            }
        }
        Ok(())
    }

    fn has_all(&self) -> bool {
        if self.records {
            return self.pieces.len() >= self.expected.records.len();
        }
        self.pieces.iter().map(Vec::len).sum::<usize>() >= self.expected.bytes.len()
    }
}

type Pieces = BoxStream<'static, Result<Vec<u8>, String>>;

fn told(status: &tonic::Status) -> String {
    format!("{:?}: {}", status.code(), status.message())
}

/// Bytes of lines: without the line ends that are the server's own.
fn unjoined(data: &[u8], words: &[u8]) -> Result<Vec<u8>, String> {
    let lines: Vec<&[u8]> = data.split_inclusive(|byte| *byte == b'\n').collect();
    let (words, rest) = words.as_chunks::<8>();
    if lines.len() != words.len() || !rest.is_empty() {
        return Err(format!("{} lines have {} words", lines.len(), words.len()));
    }
    let joined = |word: &[u8; 8]| u64::from_le_bytes(*word) & JOINED != 0;
    let pieces = lines.iter().zip(words);
    Ok(pieces.flat_map(|(line, word)| &line[..line.len() - usize::from(joined(word))]).copied().collect())
}

async fn read_lines(test: &TestApp, log: &Reading, first: u64, max_lines: u32) -> Result<Vec<u8>, String> {
    let (mut bytes, mut first_line) = (Vec::new(), first);
    loop {
        let request = ReadLinesRequest { log_id: log.id.clone(), first_line, max_lines, ..Default::default() };
        let answer = test.logs().read_lines(request).await.map_err(|status| told(&status))?.into_inner();
        if answer.lines == 0 {
            return Ok(bytes);
        }
        bytes.extend(unjoined(&answer.data, &answer.line_meta)?);
        first_line += u64::from(answer.lines);
    }
}

/// Each line by its number, but of many only some; and the size that `GetLog` tells.
async fn in_parts(test: &TestApp, log: &Reading, expected: &Expected) -> Result<(), String> {
    let stat = test.logs().get_log(GetLogRequest { log_id: log.id.clone() }).await;
    let stat = stat.map_err(|status| told(&status))?.into_inner().log.ok_or("no log")?;
    let middle = stat.lines / 2;
    let last = read_lines(test, log, middle, 1_777).await?;
    if !expected.bytes.ends_with(&last) || last.is_empty() {
        return Err(format!("from line {middle} on there are {} bytes of something else", last.len()));
    }
    Ok(())
}

async fn follow(test: &TestApp, log: &Reading) -> Result<Pieces, String> {
    let request = FollowRequest { log_id: log.id.clone(), start: None };
    let stream = test.logs().follow(request).await.map_err(|status| told(&status))?.into_inner();
    let pieces = stream.filter_map(async |message| match message.map(|message| message.event) {
        Ok(Some(Event::Data(data))) => Some(unjoined(&data.data, &data.line_meta)),
        Ok(Some(Event::Gap(gap))) => Some(Err(format!("a hole: {gap:?}"))),
        Ok(_) => None,
        Err(status) => Some(Err(told(&status))),
    });
    Ok(pieces.boxed())
}

async fn search(test: &TestApp, log: &Reading) -> Result<Vec<Vec<u8>>, String> {
    let request = SearchRequest {
        log_id: log.id.clone(),
        pattern: "^".into(),
        regex: true,
        with_text: true,
        max_lines: 1_000_000,
        ..Default::default()
    };
    let mut stream = test.logs().search(request).await.map_err(|status| told(&status))?.into_inner();
    let mut found = Vec::new();
    while let Some(message) = stream.message().await.map_err(|status| told(&status))? {
        found.extend(message.hits.into_iter().map(|hit| hit.text));
    }
    Ok(found)
}

/// Lines as Search tells them: whole, but for very long ones.
fn found(expected: &Expected) -> Vec<Vec<u8>> {
    let lines = lines(&expected.bytes);
    lines.into_iter().map(|line| line[..line.len().min(FOUND_TEXT_MAX_BYTES)].to_vec()).collect()
}

async fn raw(test: &TestApp, log: &Reading, range: Option<&str>, encoding: &str) -> Result<Vec<u8>, String> {
    let url = format!("{}/logs/{}/raw", test.url, log.id);
    let mut request = reqwest::Client::new().get(url).header("accept-encoding", encoding);
    if let Some(range) = range {
        request = request.header("range", range);
    }
    let answer = request.send().await.map_err(|error| error.to_string())?;
    let status = answer.status().as_u16();
    if !matches!((status, range), (200, None) | (206, Some(_))) {
        return Err(format!("status {status}: {}", answer.text().await.unwrap_or_default()));
    }
    decoded(answer).await
}

async fn decoded(answer: reqwest::Response) -> Result<Vec<u8>, String> {
    let encoding = answer.headers().get("content-encoding").map(|value| value.to_str().unwrap_or("?").to_owned());
    let body = answer.bytes().await.map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    let outcome = match encoding.as_deref() {
        None | Some("identity") => return Ok(body.to_vec()),
        Some("gzip") => flate2::read::MultiGzDecoder::new(&body[..]).read_to_end(&mut bytes),
        Some("zstd") => zstd::stream::read::Decoder::new(&body[..]).and_then(|mut body| body.read_to_end(&mut bytes)),
        Some(other) => return Err(format!("content-encoding {other}")),
    };
    outcome.map(|_| bytes).map_err(|error| error.to_string())
}

async fn raw_follow(test: &TestApp, log: &Reading) -> Result<Pieces, String> {
    let url = format!("{}/logs/{}/raw?follow=1", test.url, log.id);
    let answer = reqwest::get(url).await.map_err(|error| error.to_string())?;
    if answer.status() != 200 {
        return Err(format!("status {}", answer.status()));
    }
    let pieces = answer.bytes_stream();
    Ok(pieces.map(|piece| piece.map(Vec::from).map_err(|error| error.to_string())).boxed())
}

async fn post(test: &TestApp, route: &str, body: &Value) -> Result<reqwest::Response, String> {
    let request = reqwest::Client::new().post(format!("{}/api/v1/pipeline/{route}", test.url)).body(body.to_string());
    let answer = request.header("content-type", "application/json").send().await.map_err(|error| error.to_string())?;
    if answer.status() == 200 { Ok(answer) } else { Err(answer.text().await.unwrap_or_default()) }
}

async fn rest_logs(test: &TestApp, log: &Reading) -> Result<Vec<Vec<u8>>, String> {
    let (mut all, mut index) = (Vec::new(), 0);
    loop {
        let answer = post(test, "logs", &json!({ "tx_uuid": log.run, "index": index })).await?;
        let answer: Value = answer.json().await.map_err(|error| error.to_string())?;
        let rows = answer["rows"].as_array().ok_or("no rows")?;
        if rows.is_empty() {
            return Ok(all);
        }
        all.extend(rows.iter().map(|row| row.as_str().unwrap_or_default().as_bytes().to_vec()));
        index = answer["nextIndex"].as_u64().ok_or("no nextIndex")?;
    }
}

/// Lines as the route for people shows them.
fn shown(expected: &Expected) -> Vec<Vec<u8>> {
    expected.pieces().into_iter().map(|line| String::from_utf8_lossy(line).into_owned().into_bytes()).collect()
}

async fn download(test: &TestApp, log: &Reading) -> Result<Vec<u8>, String> {
    decoded(post(test, "download", &json!({ "tx_uuid": log.run })).await?).await
}

async fn byte_stream(test: &TestApp, name: &str) -> Result<Pieces, String> {
    let request = bs::ReadRequest { resource_name: name.to_owned(), read_offset: 0, read_limit: 0 };
    let stream = Remote::of(test).bytes.read(request).await.map_err(|status| told(&status))?.into_inner();
    Ok(stream.map(|answer| answer.map(|answer| answer.data).map_err(|status| told(&status))).boxed())
}

async fn consume(test: &TestApp, log: &Reading, expected: &Expected) -> Result<(), String> {
    let mut client = LogClient::new(test.wire());
    let count = expected.records.len();
    let mut ask = async |offset: usize| {
        let request = ConsumeRequest { offset: offset as u64, log: Some(log.id.clone()) };
        client.consume(request).await
    };
    for offset in (0..count.min(CONSUMED_MAX)).chain([count - 1]) {
        let record = ask(offset).await.map_err(|status| told(&status))?.into_inner().record.ok_or("no record")?;
        if record.offset != offset as u64 || record.value != expected.records[offset] {
            return Err(format!("record {offset} is {} bytes of something else", record.value.len()));
        }
    }
    match ask(count).await {
        Err(status) if status.code() == Code::OutOfRange => Ok(()),
        other => Err(format!("past the end: {other:?}")),
    }
}

async fn consume_stream(test: &TestApp, log: Option<String>) -> Result<Pieces, String> {
    let request = ConsumeRequest { offset: 0, log };
    let stream = LogClient::new(test.wire()).consume_stream(request).await;
    let stream = stream.map_err(|status| told(&status))?.into_inner();
    let records = stream.enumerate().map(|(number, answer)| {
        let record = answer.map_err(|status| told(&status))?.record.ok_or("no record")?;
        if record.offset == number as u64 { Ok(record.value) } else { Err(format!("{number} is {}", record.offset)) }
    });
    Ok(records.boxed())
}

async fn command_line(test: &TestApp, log: &Reading) -> Result<Vec<u8>, String> {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_millrace"));
    command.args(["logs", "--raw", "--id", &log.id]).env("MILLRACE_SERVER", &test.url).stdin(Stdio::null());
    let output = command.kill_on_drop(true).output().await.map_err(|error| error.to_string())?;
    if output.status.success() { Ok(output.stdout) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

fn same_bytes(read: &[u8], expected: &[u8]) -> Result<(), String> {
    if read == expected {
        return Ok(());
    }
    let same = read.iter().zip(expected).take_while(|(read, expected)| read == expected).count();
    let near = |bytes: &[u8]| {
        let from = same.saturating_sub(10).min(bytes.len());
        String::from_utf8_lossy(&bytes[from..bytes.len().min(same + 20)]).into_owned()
    };
    let (is, wanted) = (read.len(), expected.len());
    Err(format!("{is} bytes in place of {wanted}; from {same} on {:?} in place of {:?}", near(read), near(expected)))
}

fn same_list(read: &[Vec<u8>], expected: &[Vec<u8>]) -> Result<(), String> {
    match read.iter().zip(expected).position(|(read, expected)| read != expected) {
        Some(at) => same_bytes(&read[at], &expected[at]).map_err(|why| format!("the one at {at}: {why}")),
        None if read.len() == expected.len() => Ok(()),
        None => Err(format!("{} in place of {}", read.len(), expected.len())),
    }
}
