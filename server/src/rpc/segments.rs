//! Answers that carry blobs: large contents go to the connection as they are, without a copy into the message.

use buffa::{Message, Rope};
use bytes::Bytes;
use connectrpc::{CodecFormat, ConnectError, Encodable, EncodedBody};

/// From here on a content is a segment of its own, in bytes; below, copying it is cheaper than handling one more piece.
const SEGMENT_MIN_BYTES: usize = 16 * 1024;

/// A message whose large contents are not copied.
pub struct Segmented<M>(pub M);

impl<M> Encodable<M> for Segmented<M>
where
    M: Message + Encodable<M>,
{
    fn encode(&self, codec: CodecFormat) -> Result<Bytes, ConnectError> {
        Encodable::<M>::encode(&self.0, codec)
    }

    fn encode_segments(&self, codec: CodecFormat) -> Result<EncodedBody, ConnectError> {
        if codec != CodecFormat::Proto {
            return Encodable::<M>::encode(&self.0, codec).map(EncodedBody::from);
        }
        let mut rope = Rope::with_min_segment(SEGMENT_MIN_BYTES);
        let encoded = self.0.try_encode(&mut rope);
        encoded.map_err(|error| ConnectError::internal(format!("the answer can't be encoded: {error}")))?;
        Ok(EncodedBody::from_segments(rope.into_segments()))
    }
}
