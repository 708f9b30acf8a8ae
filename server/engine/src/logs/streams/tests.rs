//! Streams over logs in memory: exact bytes, whose writer may go on where, readers at any byte, and outputs that are
//! known from elsewhere.

use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use proptest::prelude::*;
use tokio::sync::watch;

use super::*;
use crate::clock::Clock;
use crate::logs::memory::MemoryLogs;
use crate::logs::{LINE_MAX_BYTES, LogLimits, Missing, Start, TailEvent};

struct Noon;

impl Clock for Noon {
    fn now_ms(&self) -> i64 {
        1_700_000_000_000
    }
}

fn streams_with(log_max_bytes: u64) -> LogStreams {
    let room = LogRoom::new(
        Arc::new(MemoryLogs::default()),
        Arc::new(Noon),
        LogLimits { log_max_bytes, ..LogLimits::default() },
    );
    LogStreams::new(room, [7; 32])
}

fn streams() -> LogStreams {
    streams_with(1 << 30)
}

fn parent() -> InstanceName {
    InstanceName::parse("team/app").unwrap()
}

/// A stream that was made, and its secret.
async fn made(streams: &LogStreams) -> (String, String) {
    let names = streams.create(&parent()).await.unwrap();
    let id = names.name.strip_prefix("team/app/logstreams/").unwrap().to_owned();
    let token = names.write_name.strip_prefix(&format!("{}/", names.name)).unwrap().to_owned();
    (id, token)
}

/// Writes these messages in one call.
async fn write(
    streams: &LogStreams,
    id: &str,
    token: &str,
    messages: &[(u64, &[u8])],
    finish: bool,
) -> Result<StreamStatus> {
    let mut writer = streams.writer(&parent(), id, token)?;
    for (index, (offset, bytes)) in messages.iter().enumerate() {
        writer.take(*offset, bytes, finish && index + 1 == messages.len()).await?;
    }
    writer.flush().await
}

/// All from a byte on, to the end.
async fn read(streams: &LogStreams, id: &str, offset: u64, limit: Option<u64>) -> Result<Vec<u8>> {
    let mut tail = streams.tail(&parent(), id, offset, limit).await?;
    let mut all = Vec::new();
    while let Some(bytes) = tail.next().await? {
        assert!(!bytes.is_empty());
        all.extend_from_slice(&bytes);
    }
    Ok(all)
}

fn content() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![Just(b'\n'), Just(b'\n'), Just(b'\r'), Just(0_u8), Just(0xFF), b'a'..b'd'];
    let long = (0..3_usize, 0..3_usize).prop_map(|(times, over)| vec![b'L'; LINE_MAX_BYTES * times + over]);
    let part = prop_oneof![9 => proptest::collection::vec(byte, 0..20), 1 => long];
    proptest::collection::vec(part, 0..8).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is written, in whatever pieces and calls, comes out as it went in, from any byte on, and in lines too.
    #[test]
    fn what_comes_out_is_what_went_in(
        content in content(),
        cuts in proptest::collection::vec((any::<prop::sample::Index>(), 0..3_u8), 0..12),
        froms in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..6),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let streams = streams();
            let (id, token) = made(&streams).await;
            let mut live = streams.tail(&parent(), &id, 0, None).await.unwrap();
            let live = tokio::spawn(async move {
                let mut all = Vec::new();
                while let Some(bytes) = live.next().await.unwrap() {
                    all.extend_from_slice(&bytes);
                }
                all
            });
            let mut cuts: Vec<(usize, u8)> = cuts.iter().map(|(at, how)| (at.index(content.len() + 1), *how)).collect();
            cuts.sort_unstable();
            let mut writer = streams.writer(&parent(), &id, &token).unwrap();
            let mut from = 0;
            for (to, how) in cuts {
                writer.take(from as u64, &content[from..to], false).await.unwrap();
                match how {
                    0 => {}
                    1 => assert_eq!(writer.flush().await.unwrap(), StreamStatus { committed: to as u64, complete: false }),
                    // The next call repeats some of what this one has brought.
                    _ => {
                        writer.flush().await.unwrap();
                        writer = streams.writer(&parent(), &id, &token).unwrap();
                        writer.take((from / 2) as u64, &content[from / 2..to], false).await.unwrap();
                    }
                }
                from = to;
            }
            writer.take(from as u64, &content[from..], true).await.unwrap();
            let end = StreamStatus { committed: content.len() as u64, complete: true };
            assert_eq!(writer.flush().await.unwrap(), end);
            assert_eq!(streams.status(&parent(), &id, &token).await.unwrap(), end);
            assert!(live.await.unwrap() == content, "a live reader saw something else");
            for (offset, limit) in froms {
                let (offset, limit) = (offset.index(content.len() + 1), limit.index(content.len() + 1) as u64);
                assert!(read(&streams, &id, offset as u64, None).await.unwrap() == content[offset..]);
                let to = content.len().min(offset + limit as usize);
                assert!(read(&streams, &id, offset as u64, Some(limit)).await.unwrap() == content[offset..to]);
            }
            let log = LogStreams::log_id(&parent(), &id).unwrap();
            let whole = streams.inner.room.read_bytes(&log, 0, usize::MAX).await.unwrap();
            assert!(whole == content, "another download");
        });
    }
}

#[tokio::test]
async fn a_writer_goes_on_where_it_was_and_nowhere_else() {
    let streams = streams();
    let (id, token) = made(&streams).await;
    let write = async |messages: &[(u64, &[u8])], finish| write(&streams, &id, &token, messages, finish).await;
    let at = |committed| StreamStatus { committed, complete: false };
    assert_eq!(write(&[(0, b"one\ntw"), (6, b"o")], false).await.unwrap(), at(7));
    assert_eq!(write(&[(0, b"one")], false).await.unwrap(), at(7), "the same again");
    assert_eq!(write(&[(4, b"two\nthree")], false).await.unwrap(), at(13), "overlap");
    assert_eq!(write(&[(13, b"!"), (9, b"hree!"), (14, b"?")], false).await.unwrap(), at(15), "again in one call");
    let gap = write(&[(17, b"x")], false).await.unwrap_err();
    assert!(matches!(gap, Error::Invalid { field: "write_offset", .. }), "{gap}");
    assert!(gap.to_string().contains("15"), "{gap}");
    let gap = write(&[(15, b"x"), (20, b"x")], false).await.unwrap_err();
    assert!(matches!(gap, Error::Invalid { field: "write_offset", .. }), "{gap}");
    let other = write(&[(4, b"twX\n")], false).await.unwrap_err();
    assert!(matches!(&other, Error::Conflict(message) if message.contains("at 6")), "{other}");
    let early = write(&[(0, b"one")], true).await.unwrap_err();
    assert!(matches!(early, Error::Invalid { field: "finish_write", .. }), "{early}");
    assert_eq!(write(&[(14, b"?")], false).await.unwrap(), at(16), "what a cut-off call left is there: x");
}

#[tokio::test]
async fn nothing_comes_after_the_end() {
    let streams = streams();
    let (id, token) = made(&streams).await;
    let ended = StreamStatus { committed: 3, complete: true };
    assert_eq!(write(&streams, &id, &token, &[(0, b"all")], true).await.unwrap(), ended);
    assert_eq!(write(&streams, &id, &token, &[(0, b"all")], true).await.unwrap(), ended, "sent twice");
    assert_eq!(write(&streams, &id, &token, &[(3, b"")], true).await.unwrap(), ended);
    let more = write(&streams, &id, &token, &[(3, b"x")], false).await.unwrap_err();
    assert!(matches!(more, Error::Precondition(_)), "{more}");
    let mut writer = streams.writer(&parent(), &id, &token).unwrap();
    writer.take(0, b"all", true).await.unwrap();
    let after = writer.take(3, b"x", false).await.unwrap_err();
    assert!(matches!(after, Error::Invalid { field: "finish_write", .. }), "{after}");
    let past = read(&streams, &id, 4, None).await.unwrap_err();
    assert!(matches!(past, Error::Range(_)), "{past}");
    assert_eq!(read(&streams, &id, 3, None).await.unwrap(), b"");
}

#[tokio::test]
async fn offsets_that_count_messages_mean_the_end() {
    let streams = streams();
    let (id, token) = made(&streams).await;
    let messages: [(u64, &[u8]); 6] = [(0, b"hello\n"), (1, b"a"), (2, b"a"), (3, b"hello\n"), (4, b""), (5, b"")];
    let status = write(&streams, &id, &token, &messages, true).await.unwrap();
    assert_eq!(status, StreamStatus { committed: 14, complete: true });
    assert_eq!(read(&streams, &id, 0, None).await.unwrap(), b"hello\naahello\n");
}

#[tokio::test]
async fn the_secret_is_of_one_stream_and_is_not_shown() {
    let streams = streams();
    let (id, token) = made(&streams).await;
    let (other, other_token) = made(&streams).await;
    let upper = token.to_uppercase();
    for (id, token) in [
        (&*id, &*other_token),
        (&id, &token[1..]),
        (&id, ""),
        (&id, if upper == token { "x" } else { &upper }),
        (&other, &token),
        ("nowhere", &token),
        ("not/an id", &token),
    ] {
        let refused = streams.writer(&parent(), id, token).err().unwrap();
        assert_eq!(refused.to_string(), format!("log stream {id} not found"));
        assert!(streams.status(&parent(), id, token).await.is_err());
    }
    assert!(streams.writer(&InstanceName::default(), &id, &token).is_err(), "the same id elsewhere");
    let room = streams.inner.room.clone();
    assert!(LogStreams::new(room, [8; 32]).writer(&parent(), &id, &token).is_err(), "another key");
    let names = streams.names(&parent(), &id);
    assert_eq!(names.write_name, format!("team/app/logstreams/{id}/{token}"));
    assert!(!format!("{names:?}").contains(&token));
    assert_eq!(streams.names(&InstanceName::default(), "x").name, "logstreams/x");
    assert!(matches!(read(&streams, "never-made", 0, None).await, Err(Error::NotFound(_))));
}

/// What the tail sees next, while the writer goes on with what it has.
async fn seen_next(writer: &mut StreamWriter, tail: &mut ByteTail) -> Bytes {
    tokio::select! {
        seen = tail.next() => seen.unwrap().unwrap(),
        () = async { loop { writer.advance().await.unwrap() } } => unreachable!(),
    }
}

#[tokio::test]
async fn half_a_line_is_seen_soon() {
    let streams = streams();
    let (id, token) = made(&streams).await;
    let mut tail = streams.tail(&parent(), &id, 0, None).await.unwrap();
    let mut writer = streams.writer(&parent(), &id, &token).unwrap();
    for dot in 0..3 {
        writer.take(dot, b".", false).await.unwrap();
        assert_eq!(seen_next(&mut writer, &mut tail).await, ".");
    }
    // Whole lines don't wait.
    writer.take(3, b"\nnext\nha", false).await.unwrap();
    assert_eq!(seen_next(&mut writer, &mut tail).await, "\nnext\n");
    // A writer that is cut off has said what it has said.
    drop(writer);
    assert_eq!(tail.next().await.unwrap().unwrap(), "ha");
    streams.end(&parent(), &id).await.unwrap();
    assert_eq!(tail.next().await.unwrap(), None);
}

#[tokio::test]
async fn a_reader_waits_for_a_byte_that_is_not_there_yet() {
    let streams = streams();
    let (id, token) = made(&streams).await;
    let mut tail = streams.tail(&parent(), &id, 5, Some(3)).await.unwrap();
    let mut never = streams.tail(&parent(), &id, 50, None).await.unwrap();
    write(&streams, &id, &token, &[(0, b"012\n")], false).await.unwrap();
    write(&streams, &id, &token, &[(4, b"45")], false).await.unwrap();
    assert_eq!(tail.next().await.unwrap().unwrap(), "5");
    write(&streams, &id, &token, &[(6, b"6789")], true).await.unwrap();
    assert_eq!(tail.next().await.unwrap().unwrap(), "67");
    assert_eq!(tail.next().await.unwrap(), None, "the limit");
    assert!(matches!(never.next().await, Err(Error::Range(_))));
}

/// What a log says that is limited to so many bytes.
fn notice(max_bytes: u64) -> String {
    format!("##[warning]This log has reached its limit of {max_bytes} bytes. What follows was not kept.\n")
}

#[tokio::test]
async fn a_full_log_says_so_and_counts_on() {
    let streams = streams_with(100);
    let (id, token) = made(&streams).await;
    let write = async |messages: &[(u64, &[u8])], finish| write(&streams, &id, &token, messages, finish).await;
    let at = |committed| StreamStatus { committed, complete: false };
    let kept = [&[b'a'; 60][..], b"\n", &[b'b'; 29]].concat();
    assert_eq!(write(&[(0, &kept)], false).await.unwrap(), at(90));
    let more = [&b"c\n"[..], &[b'd'; 50]].concat();
    assert_eq!(write(&[(90, &more)], false).await.unwrap(), at(142), "what fits in whole lines is kept");
    assert_eq!(write(&[(142, b"dropped\n")], false).await.unwrap(), at(150));
    assert_eq!(streams.status(&parent(), &id, &token).await.unwrap(), at(150));
    // Repetitions: what was kept must be the same, of what was dropped nobody knows.
    assert_eq!(write(&[(80, &[&[b'b'; 10], &more[..]].concat())], false).await.unwrap(), at(150));
    assert_eq!(write(&[(100, b"whatever")], false).await.unwrap(), at(150));
    assert_eq!(write(&[(145, b"whatever")], false).await.unwrap(), at(153), "an overlap");
    let other = write(&[(88, b"bX")], false).await.unwrap_err();
    assert!(matches!(&other, Error::Conflict(message) if message.contains("at 89")), "{other}");
    let gap = write(&[(154, b"x")], false).await.unwrap_err();
    assert!(matches!(&gap, Error::Invalid { field: "write_offset", message } if message.contains("153")), "{gap}");
    let early = write(&[(142, b"dropped\n")], true).await.unwrap_err();
    assert!(matches!(early, Error::Invalid { field: "finish_write", .. }), "{early}");
    let ended = StreamStatus { committed: 154, complete: true };
    assert_eq!(write(&[(153, b"!")], true).await.unwrap(), ended);
    assert_eq!(write(&[(153, b"!")], true).await.unwrap(), ended, "sent twice");
    assert!(matches!(write(&[(154, b"x")], false).await.unwrap_err(), Error::Precondition(_)));
    let text = String::from_utf8(read(&streams, &id, 0, None).await.unwrap()).unwrap();
    assert_eq!(text, format!("{}\n{}c\n{}", "a".repeat(60), "b".repeat(29), notice(100)));
    let head = streams.inner.room.head(&LogStreams::log_id(&parent(), &id).unwrap()).await.unwrap();
    assert_eq!((head.written_bytes(), head.dropped_bytes, head.room_bytes), (154, 62, notice(100).len() as u64));
    assert_eq!((head.rows, head.complete, head.unended), (2, true, false));
}

#[tokio::test]
async fn a_line_that_is_cut_by_the_limit_gets_an_end() {
    let streams = streams_with(100);
    let (id, token) = made(&streams).await;
    for (offset, bytes) in [(0, &[b'x'; 70][..]), (70, &[b'y'; 70]), (140, b"z\n")] {
        write(&streams, &id, &token, &[(offset, bytes)], false).await.unwrap();
    }
    streams.end(&parent(), &id).await.unwrap();
    let text = String::from_utf8(read(&streams, &id, 0, None).await.unwrap()).unwrap();
    // Two of the hundred are the ends that the room has put there.
    assert_eq!(text, format!("{}{}\n{}", "x".repeat(70), "y".repeat(28), notice(100)));
    assert_eq!(streams.status(&parent(), &id, &token).await.unwrap(), StreamStatus { committed: 142, complete: true });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the limit and the pieces: all is acknowledged, the beginning is kept, the log says where it stops, and
    /// what is sent again changes nothing.
    #[test]
    fn the_limit_is_the_limit(
        content in content(),
        limit in 0..150_000_u64,
        cuts in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..8),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let streams = streams_with(limit);
            let (id, token) = made(&streams).await;
            let mut cuts: Vec<_> = cuts.iter().map(|(to, from)| (to.index(content.len() + 1), from)).collect();
            cuts.sort_unstable_by_key(|(to, _)| *to);
            let mut written = 0;
            for (to, from) in cuts {
                let from = from.index(written + 1);
                write(&streams, &id, &token, &[(from as u64, &content[from..to.max(from)])], false).await.unwrap();
                written = written.max(to);
                let status = streams.status(&parent(), &id, &token).await.unwrap();
                assert_eq!(status, StreamStatus { committed: written as u64, complete: false });
            }
            let rest = [(written as u64, &content[written..])];
            let ended = StreamStatus { committed: content.len() as u64, complete: true };
            for _ in 0..2 {
                assert_eq!(write(&streams, &id, &token, &rest, true).await.unwrap(), ended);
            }
            assert_eq!(write(&streams, &id, &token, &[(0, &content)], true).await.unwrap(), ended);
            let log = LogStreams::log_id(&parent(), &id).unwrap();
            let head = streams.inner.room.head(&log).await.unwrap();
            let kept = content.len() - head.dropped_bytes as usize;
            assert!(head.bytes - head.room_bytes <= limit);
            let got = read(&streams, &id, 0, None).await.unwrap();
            assert!(got[..kept] == content[..kept], "the beginning is as it was written");
            if head.dropped_bytes == 0 {
                assert_eq!((got.len(), head.room_bytes), (kept, 0));
            } else {
                let end = if kept == 0 || content[kept - 1] == b'\n' { "" } else { "\n" };
                assert_eq!(String::from_utf8_lossy(&got[kept..]), format!("{end}{}", notice(limit)));
                assert!(!head.unended);
            }
        });
    }
}

#[tokio::test]
async fn the_viewer_sees_lines() {
    let streams = streams();
    let (id, token) = made(&streams).await;
    write(&streams, &id, &token, &[(0, b"one\n##[error]bad\nha")], false).await.unwrap();
    write(&streams, &id, &token, &[(19, b"lf\n")], true).await.unwrap();
    let log = LogStreams::log_id(&parent(), &id).unwrap();
    let room = &streams.inner.room;
    let stat = room.stat(&log).await.unwrap();
    assert_eq!((stat.head.lines, stat.head.rows, stat.head.first_error_line), (4, 3, Some(1)));
    let mut tail = room.tail(&log, Start::LastLines(2), Missing::Refuse).await.unwrap();
    assert!(matches!(tail.next().await.unwrap(), TailEvent::Data(lines) if lines.data == "ha\nlf\n"));
    streams.remove(&parent(), &id).await.unwrap();
    streams.remove(&parent(), &id).await.unwrap();
    assert!(matches!(streams.tail(&parent(), &id, 0, None).await.err(), Some(Error::NotFound(_))));
}

/// Knows one stream, `exec.out`.
struct Outcome {
    done: watch::Sender<Option<Result<Bytes, ()>>>,
    asked: Mutex<Vec<u64>>,
}

#[async_trait]
impl StreamFallback for Outcome {
    async fn state(&self, stream: &StreamId) -> StreamState {
        match (&*self.done.borrow(), stream.id() == "exec.out" && stream.is_of(&parent())) {
            (_, false) => StreamState::Unknown,
            (None, _) => StreamState::WillCome,
            (Some(_), _) => StreamState::Done,
        }
    }

    async fn settled(&self, _stream: &StreamId) {
        self.done.subscribe().wait_for(Option::is_some).await.unwrap();
    }

    async fn content(&self, _stream: &StreamId, offset: u64) -> Result<StreamContent> {
        self.asked.lock().unwrap().push(offset);
        let content = self.done.borrow().clone().unwrap().map_err(|()| Error::NotFound("blob".into()))?;
        Ok(futures::stream::iter([Ok(content.slice(offset as usize..))]).boxed())
    }
}

fn outcome(streams: &LogStreams) -> Arc<Outcome> {
    let outcome = Arc::new(Outcome { done: watch::Sender::new(None), asked: Mutex::default() });
    streams.set_fallback(outcome.clone());
    outcome
}

#[tokio::test]
async fn an_output_that_was_never_streamed_is_read_from_the_result() {
    let streams = streams();
    let outcome = outcome(&streams);
    let mut readers = Vec::new();
    for offset in [0, 0, 6] {
        let mut tail = streams.tail(&parent(), "exec.out", offset, None).await.unwrap();
        readers.push(tokio::spawn(async move {
            let mut all = Vec::new();
            while let Some(bytes) = tail.next().await.unwrap() {
                all.extend_from_slice(&bytes);
            }
            all
        }));
    }
    outcome.done.send_replace(Some(Ok("quick, no end".into())));
    let texts = futures::future::join_all(readers).await;
    let texts: Vec<Vec<u8>> = texts.into_iter().map(|text| text.unwrap()).collect();
    assert_eq!(texts, [&b"quick, no end"[..], b"quick, no end", b" no end"]);
    assert_eq!(read(&streams, "exec.out", 7, Some(2)).await.unwrap(), b"no", "later");
    assert!(matches!(read(&streams, "exec.err", 0, None).await, Err(Error::NotFound(_))));
}

#[tokio::test]
async fn an_output_whose_writer_was_lost_is_completed_from_the_result() {
    let streams = streams();
    let outcome = outcome(&streams);
    let names = streams.names(&parent(), "exec.out");
    let token = names.write_name.rsplit_once('/').unwrap().1;
    let mut tail = streams.tail(&parent(), "exec.out", 0, None).await.unwrap();
    write(&streams, "exec.out", token, &[(0, b"the begin")], false).await.unwrap();
    assert_eq!(tail.next().await.unwrap().unwrap(), "the begin");
    outcome.done.send_replace(Some(Ok("the beginning and the end\n".into())));
    let mut rest = Vec::new();
    while let Some(bytes) = tail.next().await.unwrap() {
        rest.extend_from_slice(&bytes);
    }
    assert_eq!(rest, b"ning and the end\n");
    assert_eq!(*outcome.asked.lock().unwrap(), [9]);
}

#[tokio::test]
async fn an_output_that_is_gone_is_an_error_and_no_empty_log() {
    let streams = streams();
    let outcome = outcome(&streams);
    outcome.done.send_replace(Some(Err(())));
    for _ in 0..2 {
        assert!(matches!(read(&streams, "exec.out", 0, None).await, Err(Error::NotFound(_))));
    }
}
