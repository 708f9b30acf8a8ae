//! Masked values: nothing of any form is left in what is stored, and nothing else is touched.

use millrace_engine::logs::streams::LogStreams;
use millrace_proto::instance_name::InstanceName;
use millrace_proto::mask_forms::MaskForms;
use millrace_proto::mask_set::MaskSet;

use super::{Script, block_on, room};

pub fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let mut values = Vec::new();
    for _ in 0..=script.byte() % 3 {
        let length = usize::from(script.byte() % 40);
        // A value with a `*` may come about by covering another.
        values.push(String::from_utf8_lossy(script.bytes(length)).replace('*', "+"));
    }
    let forms: Vec<Vec<u8>> = values
        .iter()
        .flat_map(|value| {
            let MaskForms { plain, encoded } = MaskForms::of(value);
            plain.into_iter().chain(encoded)
        })
        .filter(|form| !form.contains(&b'*'))
        .collect();
    let mut content = Vec::new();
    let mut cuts = Vec::new();
    while !script.is_empty() {
        match script.byte() {
            kind if kind < 96 && !forms.is_empty() => content.extend_from_slice(&forms[script.number() % forms.len()]),
            kind if kind < 128 => {
                cuts.push((content.len().saturating_sub(usize::from(script.byte() % 16)), kind & 1 == 1));
            }
            kind => content.extend_from_slice(script.bytes(usize::from(kind % 16))),
        }
    }
    let set = check_set(&values, &content);
    cuts.sort_unstable();
    block_on(async {
        let room = room();
        room.masks().replace(values.iter().map(String::as_str));
        let streams = LogStreams::new(room.clone(), [7; 32]);
        let parent = InstanceName::default();
        let names = streams.names(&parent, "x");
        let token = names.write_name.rsplit_once('/').expect("a token").1;
        let mut writer = streams.writer(&parent, "x", token).expect("a writer");
        let mut from = 0;
        for (to, flush) in cuts {
            writer.take(from as u64, &content[from..to], false).await.expect("taken");
            if flush {
                writer.flush().await.expect("stored");
            }
            from = to;
        }
        writer.take(from as u64, &content[from..], true).await.expect("taken");
        assert_eq!(writer.flush().await.expect("stored").committed, content.len() as u64);
        let log = LogStreams::log_id(&parent, "x").expect("an id");
        let stored = room.read_bytes(&log, 0, usize::MAX).await.expect("bytes");
        for form in forms.iter().filter(|form| set.is_in(form)) {
            assert!(!stored.windows(form.len()).any(|part| part == &form[..]), "a form is left");
        }
        let mut masked = vec![false; content.len()];
        for value in set.find(&content) {
            masked[value].fill(true);
        }
        for (at, (stored, sent)) in stored.iter().zip(&content).enumerate() {
            assert!(stored == sent || masked[at] && *stored == b'*', "byte {at} was changed");
        }
    });
}

/// Against the plainest search.
fn check_set(values: &[String], content: &[u8]) -> MaskSet {
    let (set, _) = MaskSet::new(values.iter().map(String::as_str));
    let found = set.find(content);
    assert!(found.is_sorted_by(|one, next| one.end < next.start), "in order and apart");
    for cut in [0, content.len() / 3, content.len()] {
        let at = set.cut(content, cut);
        let (head, tail) = content.split_at(at);
        let mut apart = set.find(head);
        for value in set.find(tail) {
            let value = value.start + at..value.end + at;
            match apart.last_mut().filter(|last| last.end == value.start) {
                Some(last) => last.end = value.end,
                None => apart.push(value),
            }
        }
        assert!(at <= cut && apart == found, "cut through a value");
    }
    assert!(set.begun(content) <= content.len().min(set.longest().saturating_sub(1)));
    set
}
