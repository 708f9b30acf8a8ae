//! Bytes of a stream, in messages and calls that end anywhere, come out as they went in, as bytes and in lines.

use millrace_engine::logs::LINE_MAX_BYTES;
use millrace_engine::logs::streams::LogStreams;
use millrace_proto::instance_name::InstanceName;

use super::{Script, block_on, room};

pub fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let mut sizes = Vec::new();
    for _ in 0..script.byte() % 16 {
        sizes.push((script.number(), script.byte()));
    }
    let mut content = script.rest().to_vec();
    if sizes.len() % 4 == 3 && !content.is_empty() {
        content = content.iter().copied().cycle().take(LINE_MAX_BYTES + content.len()).collect();
    }
    block_on(async {
        let room = room();
        let streams = LogStreams::new(room.clone(), [7; 32]);
        let parent = InstanceName::default();
        let names = streams.names(&parent, "x");
        let token = names.write_name.rsplit_once('/').expect("a token").1;
        let mut writer = streams.writer(&parent, "x", token).expect("a writer");
        let mut from = 0;
        for (size, how) in sizes {
            let to = content.len().min(from + size);
            // Some of it again.
            let again = if how & 2 == 2 { usize::from(how).min(from) } else { 0 };
            if again > 0 {
                writer.flush().await.expect("stored");
                writer = streams.writer(&parent, "x", token).expect("a writer");
            }
            writer.take((from - again) as u64, &content[from - again..to], false).await.expect("taken");
            from = to;
            if how & 1 == 1 {
                assert_eq!(writer.flush().await.expect("stored").committed, from as u64);
            }
        }
        writer.take(from as u64, &content[from..], true).await.expect("taken");
        let end = writer.flush().await.expect("stored");
        assert_eq!((end.committed, end.complete), (content.len() as u64, true));
        let log = LogStreams::log_id(&parent, "x").expect("an id");
        assert!(room.read_bytes(&log, 0, usize::MAX).await.expect("bytes") == content, "as bytes");
        let lines = room.read_lines(&log, 0, u64::MAX, usize::MAX).await.expect("lines");
        assert!(lines.stream_bytes() == content, "in lines");
        let middle = content.len() / 2;
        assert!(
            room.read_bytes(&log, middle as u64, 100).await.expect("bytes")
                == content[middle..content.len().min(middle + 100)]
        );
        let tail = room.read_lines(&log, lines.lines() / 2, u64::MAX, usize::MAX).await.expect("lines");
        let stream_offset = tail.place.stream_offset() as usize;
        assert!(tail.stream_bytes() == content[stream_offset..], "from a line on");
    });
}
