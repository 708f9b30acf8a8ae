//! Walks encoded messages by their types and hands out all text in them, to be changed in place: lengths stay, and so does
//! all else. Knows nothing of why. (An encoded message can't simply be searched and changed as bytes: what is found may reach
//! over the end of a field, into tags and lengths.)

use std::collections::HashMap;

/// Messages in messages, and groups, are walked this deep; what is deeper is handed out as bytes.
const DEPTH_MAX: u32 = 64;
const ANY: &str = "google.protobuf.Any";

/// What the fields of messages are.
#[derive(Debug, Default)]
pub struct MessageTypes(HashMap<String, HashMap<u64, Field>>);

#[derive(Clone, Debug)]
enum Field {
    Text,
    Bytes,
    Message(String),
}

/// What is handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8, which it must stay.
    Text,
    /// Any bytes: also a message of a type that is not known, or a field that its type does not have.
    Bytes,
}

impl MessageTypes {
    /// The types of an encoded `google.protobuf.FileDescriptorSet`.
    pub fn of_descriptor_set(set: &[u8]) -> Self {
        let mut types = Self::default();
        for file in messages(set, 1) {
            let package = texts(file, 2).next().unwrap_or_default();
            for message in messages(file, 4) {
                types.add(package, message);
            }
        }
        types
    }

    /// A `DescriptorProto`, and those within it.
    fn add(&mut self, parent: &str, message: &[u8]) {
        let name = [parent, texts(message, 1).next().unwrap_or_default()].join(".");
        let mut known = HashMap::new();
        for field in messages(message, 2) {
            let number = |wanted| varints(field, wanted).next().unwrap_or_default();
            // FieldDescriptorProto.Type: TYPE_STRING, TYPE_MESSAGE, TYPE_BYTES.
            let kind = match number(5) {
                9 => Field::Text,
                11 => Field::Message(texts(field, 6).next().unwrap_or_default().trim_start_matches('.').to_owned()),
                12 => Field::Bytes,
                _ => continue,
            };
            known.insert(number(3), kind);
        }
        for inner in messages(message, 3) {
            self.add(&name, inner);
        }
        self.0.insert(name, known);
    }

    /// Hands out all text of an encoded message of this type.
    pub fn each(&self, name: &str, message: &mut [u8], seen: &mut impl FnMut(Kind, &mut [u8])) {
        self.walk(name, message, 0, seen);
    }

    fn walk(&self, name: &str, message: &mut [u8], depth: u32, seen: &mut impl FnMut(Kind, &mut [u8])) {
        let Some(types) = self.0.get(name).filter(|_| depth < DEPTH_MAX) else {
            seen(Kind::Bytes, message);
            return;
        };
        let any = if name == ANY { texts(message, 1).last().map(type_of_url) } else { None };
        // Ranges first: what is handed out may change.
        let mut all = Fields::of(message);
        let fields: Vec<(u64, std::ops::Range<usize>)> = all
            .by_ref()
            .filter_map(|(number, value)| match value {
                Value::Bytes(range) => Some((number, range)),
                Value::Varint(_) | Value::Fixed => None,
            })
            .collect();
        let read = all.read;
        for (number, range) in fields {
            let value = &mut message[range];
            match (types.get(&number), &any) {
                (Some(Field::Bytes), Some(packed)) => self.walk(packed, value, depth + 1, seen),
                (Some(Field::Text), _) => seen(Kind::Text, value),
                (Some(Field::Message(name)), _) => self.walk(name, value, depth + 1, seen),
                // A field that is not known is not read either: it can't be broken.
                (Some(Field::Bytes) | None, _) => seen(Kind::Bytes, value),
            }
        }
        // Nobody can read what comes after that either, as a message.
        if read < message.len() {
            seen(Kind::Bytes, &mut message[read..]);
        }
    }
}

fn type_of_url(url: &str) -> String {
    url.rsplit_once('/').map_or(url, |(_, name)| name).to_owned()
}

enum Value {
    Varint(u64),
    Fixed,
    Bytes(std::ops::Range<usize>),
}

/// The fields of an encoded message, those of groups among them; ends where it is none.
struct Fields<'m> {
    message: &'m [u8],
    at: usize,
    /// How much of it was whole fields.
    read: usize,
}

impl<'m> Fields<'m> {
    fn of(message: &'m [u8]) -> Self {
        Self { message, at: 0, read: 0 }
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.message.get(self.at)?;
            self.at += 1;
            value |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
}

impl Iterator for Fields<'_> {
    type Item = (u64, Value);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.read = self.at;
            let tag = self.varint()?;
            let size = match tag & 7 {
                0 => {
                    let value = self.varint()?;
                    self.read = self.at;
                    return Some((tag >> 3, Value::Varint(value)));
                }
                1 => 8,
                2 => usize::try_from(self.varint()?).ok()?,
                3 | 4 => continue,
                5 => 4,
                _ => return None,
            };
            let range = self.at..self.at.checked_add(size).filter(|end| *end <= self.message.len())?;
            (self.at, self.read) = (range.end, range.end);
            return Some((tag >> 3, if tag & 7 == 2 { Value::Bytes(range) } else { Value::Fixed }));
        }
    }
}

fn messages(message: &[u8], wanted: u64) -> impl Iterator<Item = &[u8]> {
    Fields::of(message).filter_map(move |(number, value)| match value {
        Value::Bytes(range) if number == wanted => Some(&message[range]),
        _ => None,
    })
}

fn texts(message: &[u8], wanted: u64) -> impl Iterator<Item = &str> {
    messages(message, wanted).filter_map(|text| std::str::from_utf8(text).ok())
}

fn varints(message: &[u8], wanted: u64) -> impl Iterator<Item = u64> {
    Fields::of(message).filter_map(move |(number, value)| match value {
        Value::Varint(value) if number == wanted => Some(value),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use buffa::Message;
    use buffa_types::google::protobuf::Any;

    use super::*;
    use crate::{FILE_DESCRIPTOR_SET, build_event_stream as bes, build_events};

    fn shown(types: &MessageTypes, name: &str, bytes: &[u8]) -> Vec<(Kind, String)> {
        let mut all = Vec::new();
        types.each(name, &mut bytes.to_vec(), &mut |kind, text| {
            all.push((kind, String::from_utf8_lossy(text).into_owned()));
        });
        all
    }

    #[test]
    fn finds_text_in_what_is_packed() {
        let types = MessageTypes::of_descriptor_set(FILE_DESCRIPTOR_SET);
        let progress = bes::Progress { stdout: "out".into(), stderr: "err".into(), ..Default::default() };
        let inner = bes::BuildEvent { payload: Some(progress.into()), ..Default::default() };
        let any = Any::pack(&inner, "type.googleapis.com/build_event_stream.BuildEvent");
        let event = build_events::BuildEvent {
            event: Some(build_events::build_event::Event::BazelEvent(Box::new(any))),
            ..Default::default()
        };
        let name = "google.devtools.build.v1.BuildEvent";
        let found = shown(&types, name, &event.encode_to_vec());
        let texts = |text: &str| (Kind::Text, text.to_owned());
        assert!(found.contains(&texts("out")) && found.contains(&texts("err")), "{found:?}");
        // Of a type that is not known: all of it.
        assert_eq!(shown(&types, "who.Knows", b"xyz"), [(Kind::Bytes, "xyz".to_owned())]);
        // A field that is not known, number 1000.
        assert_eq!(shown(&types, "build_event_stream.Progress", b"\xC2\x3E\x03abc"), [(Kind::Bytes, "abc".into())]);
    }

    #[test]
    fn what_is_no_message_is_handed_out_as_it_is() {
        let types = MessageTypes::of_descriptor_set(FILE_DESCRIPTOR_SET);
        let all = |message: &[u8]| shown(&types, "build_event_stream.Progress", message);
        for bad in [&b"\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01"[..], b"\x0A\x05ab", b"\x07hunter2", b"\xFF"] {
            let shown = (Kind::Bytes, String::from_utf8_lossy(bad).into_owned());
            assert_eq!(all(bad), std::slice::from_ref(&shown));
            let text = (Kind::Text, "abc".to_owned());
            assert_eq!(all(&[b"\x0A\x03abc", bad].concat()), [text, shown], "after a whole field");
        }
        assert_eq!(all(b"\x0B\x0B\x0C"), [], "groups have no text of their own");
        MessageTypes::of_descriptor_set(b"\x0A\x03abc");
    }
}
