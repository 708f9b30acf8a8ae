//! Masked values in encoded messages: each byte of one becomes a `*`, in the text of fields only, so that lengths and tags
//! stay and the message can be read as before. Knows nothing of what the messages say.

use std::sync::OnceLock;

use millrace_proto::FILE_DESCRIPTOR_SET;
use millrace_proto::mask_set::MaskSet;
use millrace_proto::message_text::{Kind, MessageTypes};

use super::COVER;

/// Covers values in messages.
#[derive(Debug, Default)]
pub struct MessageMasks {
    /// Made when the first value is found: most servers never need it.
    types: OnceLock<MessageTypes>,
}

impl MessageMasks {
    /// Covers all values in a message of this type; whether there was one.
    pub fn cover(&self, set: &MaskSet, name: &str, message: &mut [u8]) -> bool {
        // A value within a field is within the message: nearly all have none.
        if !set.is_in(message) {
            return false;
        }
        let types = self.types.get_or_init(|| MessageTypes::of_descriptor_set(FILE_DESCRIPTOR_SET));
        let mut found = false;
        types.each(name, message, &mut |kind, text| found |= cover(set, kind, text));
        found
    }
}

/// Covers all values in a text; whether there was one.
fn cover(set: &MaskSet, kind: Kind, text: &mut [u8]) -> bool {
    let found = set.find(text);
    for value in &found {
        let (mut start, mut end) = (value.start, value.end);
        if kind == Kind::Text {
            // A piece of a long value may end within a character.
            let is_inner = |at: usize| text.get(at).is_some_and(|byte| byte & 0xC0 == 0x80);
            while start > 0 && is_inner(start) {
                start -= 1;
            }
            while is_inner(end) {
                end += 1;
            }
        }
        text[start..end].fill(COVER);
    }
    !found.is_empty()
}
