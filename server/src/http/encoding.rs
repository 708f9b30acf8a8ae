//! Answers in fewer bytes: which encoding a client wants by RFC 9110, and text packed while it streams. Knows nothing of
//! logs.

use std::io::{self, Write};

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::write::GzEncoder;
use futures::{Stream, StreamExt, stream};
use millrace_engine::error::Error;
use zstd::stream::raw::CParameter;

/// Pieces of this size and more are packed beside the other work, in bytes.
const ASIDE_MIN_BYTES: usize = 32 * 1024;
/// How hard zstd and gzip try: as hard as a disk is fast.
const LEVEL: u32 = 3;
/// How far back zstd looks, as a power of two of bytes: what a reader's memory, and the server's for each, is bounded by.
const WINDOW_BITS: u32 = 20;
/// The same for tails, of which there may be thousands.
const LIVE_WINDOW_BITS: u32 = 17;

/// How an answer is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentEncoding {
    /// Not at all.
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

impl ContentEncoding {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Zstd, Self::Gzip, Self::Identity];

    /// The one that the client likes best; of those it likes alike the one that packs best. None: it refuses all.
    pub fn wanted(headers: &HeaderMap) -> Option<Self> {
        Weights::of(headers).best()
    }

    /// Its name in `Content-Encoding`; none for what is not packed.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some("gzip"),
            Self::Zstd => Some("zstd"),
        }
    }

    /// Says so.
    pub fn tell(self, headers: &mut HeaderMap) {
        if let Some(name) = self.name() {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(name));
        }
    }

    /// The entity tag of the content in this encoding: other bytes, another strong tag.
    pub fn tag(self, tag: &str) -> String {
        match self.name() {
            None => format!("\"{tag}\""),
            Some(name) => format!("\"{tag}-{name}\""),
        }
    }
}

/// Whether the client does not take bytes as they are.
pub fn refuses_identity(headers: &HeaderMap) -> bool {
    Weights::of(headers).identity() == 0
}

/// Whether the client names zstd, and likes it no less than bytes as they are; one that refuses those may mean it by `*`. Else
/// `*` is not taken for it: few mean that.
pub fn names_zstd(headers: &HeaderMap) -> bool {
    let weights = Weights::of(headers);
    let others = weights.others.filter(|_| weights.identity() == 0);
    let zstd = weights.zstd.or(others).unwrap_or(0);
    zstd > 0 && zstd >= weights.identity.unwrap_or(0)
}

/// The answer to who refuses all that there is.
pub fn none_wanted(there_is: &[ContentEncoding]) -> Response {
    let names: Vec<_> = there_is.iter().map(|one| one.name().unwrap_or("identity")).collect();
    let message = format!("accept-encoding: refuses all there is: {}\n", names.join(", "));
    (StatusCode::NOT_ACCEPTABLE, [(header::VARY, "Accept-Encoding")], message).into_response()
}

/// The body of an answer to HEAD that tells of something packed: its length is not known, and must not be told as 0.
pub fn no_body() -> Body {
    Body::from_stream(stream::empty::<Result<Bytes, Error>>())
}

/// What a client says it takes, in thousandths.
#[derive(Default)]
struct Weights {
    identity: Option<u16>,
    gzip: Option<u16>,
    zstd: Option<u16>,
    others: Option<u16>,
}

impl Weights {
    fn of(headers: &HeaderMap) -> Self {
        let mut weights = Self::default();
        for line in headers.get_all(header::ACCEPT_ENCODING) {
            for one in line.to_str().unwrap_or_default().split(',') {
                weights.read(one);
            }
        }
        weights
    }

    fn read(&mut self, one: &str) {
        let (name, parameters) = one.split_once(';').unwrap_or((one, ""));
        let place = match name.trim().to_ascii_lowercase().as_str() {
            "identity" => &mut self.identity,
            "gzip" | "x-gzip" => &mut self.gzip,
            "zstd" => &mut self.zstd,
            "*" => &mut self.others,
            _ => return,
        };
        let weight =
            parameters.split(';').find_map(|one| one.trim().strip_prefix(['q', 'Q'])?.trim().strip_prefix('='));
        // What is no weight is taken for a refusal: packing what can't be unpacked is worse than not packing.
        let weight = weight.map_or(Some(1.0), |weight| weight.trim().parse::<f32>().ok()).unwrap_or(0.0);
        *place = Some((weight.clamp(0.0, 1.0) * 1000.0) as u16);
    }

    /// Taken unless it is refused, and liked least unless it is named.
    fn identity(&self) -> u16 {
        match (self.identity, self.others) {
            (Some(weight), _) => weight,
            (None, Some(0)) => 0,
            (None, _) => 1,
        }
    }

    fn best(&self) -> Option<ContentEncoding> {
        let packed = |named: Option<u16>| named.or(self.others).unwrap_or(0);
        let all = [
            (packed(self.zstd), ContentEncoding::Zstd),
            (packed(self.gzip), ContentEncoding::Gzip),
            (self.identity(), ContentEncoding::Identity),
        ];
        // The first of the best.
        let best = all.into_iter().rev().max_by_key(|(weight, _)| *weight)?;
        (best.0 > 0).then_some(best.1)
    }
}

/// A JSON answer, packed as the client likes it.
pub fn json(headers: &HeaderMap, value: &serde_json::Value) -> Result<Response, Error> {
    let Some(encoding) = ContentEncoding::wanted(headers) else { return Ok(none_wanted(&ContentEncoding::ALL)) };
    let text = Bytes::from(serde_json::to_vec(value).map_err(Error::internal)?);
    let body = match encoding {
        ContentEncoding::Identity => Body::from(text),
        packed => Body::from_stream(self::packed(stream::iter([Ok(text)]), packed, false)?),
    };
    let mut response = Response::new(body);
    let set = response.headers_mut();
    set.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    set.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    encoding.tell(set);
    Ok(response)
}

/// Packs pieces as they come. `live`: after each piece all of it can be read.
pub fn packed(
    pieces: impl Stream<Item = Result<Bytes, Error>> + Send + 'static,
    encoding: ContentEncoding,
    live: bool,
) -> Result<impl Stream<Item = Result<Bytes, Error>> + Send + 'static, Error> {
    let pieces = pieces.boxed();
    let packer = Packer::new(encoding, live).map_err(Error::internal)?;
    Ok(stream::try_unfold((pieces, Some(packer)), move |(mut pieces, packer)| async move {
        let Some(mut packer) = packer else { return Ok(None) };
        loop {
            let Some(piece) = pieces.next().await else {
                let last = packer.finish().map_err(Error::internal)?;
                return Ok((!last.is_empty()).then_some((last, (pieces, None))));
            };
            let piece = piece?;
            let out;
            (packer, out) = if piece.len() < ASIDE_MIN_BYTES {
                let out = packer.take(&piece, live);
                (packer, out)
            } else {
                let packing = tokio::task::spawn_blocking(move || {
                    let out = packer.take(&piece, live);
                    (packer, out)
                });
                packing.await.map_err(Error::internal)?
            };
            let out = out.map_err(Error::internal)?;
            if !out.is_empty() {
                return Ok(Some((out, (pieces, Some(packer)))));
            }
        }
    }))
}

enum Packer {
    Identity(Vec<u8>),
    Gzip(Box<GzEncoder<Vec<u8>>>),
    Zstd(Box<zstd::stream::write::Encoder<'static, Vec<u8>>>),
}

impl Packer {
    fn new(encoding: ContentEncoding, live: bool) -> io::Result<Self> {
        Ok(match encoding {
            ContentEncoding::Identity => Self::Identity(Vec::new()),
            ContentEncoding::Gzip => Self::Gzip(Box::new(GzEncoder::new(Vec::new(), flate2::Compression::new(LEVEL)))),
            ContentEncoding::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), LEVEL as i32)?;
                encoder.set_parameter(CParameter::WindowLog(if live { LIVE_WINDOW_BITS } else { WINDOW_BITS }))?;
                encoder.set_parameter(CParameter::ChecksumFlag(true))?;
                Self::Zstd(Box::new(encoder))
            }
        })
    }

    /// Takes a piece and gives what there is to send.
    fn take(&mut self, piece: &[u8], flush: bool) -> io::Result<Bytes> {
        match self {
            Self::Identity(out) => {
                out.write_all(piece)?;
                Ok(std::mem::take(out).into())
            }
            Self::Gzip(encoder) => {
                encoder.write_all(piece)?;
                if flush {
                    encoder.flush()?;
                }
                Ok(std::mem::take(encoder.get_mut()).into())
            }
            Self::Zstd(encoder) => {
                encoder.write_all(piece)?;
                if flush {
                    encoder.flush()?;
                }
                Ok(std::mem::take(encoder.get_mut()).into())
            }
        }
    }

    fn finish(self) -> io::Result<Bytes> {
        Ok(match self {
            Self::Identity(out) => out,
            Self::Gzip(encoder) => encoder.finish()?,
            Self::Zstd(encoder) => encoder.finish()?,
        }
        .into())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn wanted(lines: &[&str]) -> Option<ContentEncoding> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::ACCEPT_ENCODING, HeaderValue::from_str(line).unwrap());
        }
        ContentEncoding::wanted(&headers)
    }

    #[test]
    fn what_the_client_likes_best() {
        use ContentEncoding::{Gzip, Identity, Zstd};
        for (lines, encoding) in [
            (&[][..], Some(Identity)),
            (&[""], Some(Identity)),
            (&["gzip"], Some(Gzip)),
            (&["X-GZIP ; q=0.5"], Some(Gzip)),
            (&["zstd"], Some(Zstd)),
            (&["deflate, gzip, br, zstd"], Some(Zstd)),
            (&["deflate", "gzip"], Some(Gzip)),
            (&["gzip;q=1.0, zstd;q=0.9"], Some(Gzip)),
            (&["gzip;q=0.001"], Some(Gzip)),
            (&["gzip;q=0"], Some(Identity)),
            (&["gzip;q=0.000, zstd; q=0"], Some(Identity)),
            (&["*"], Some(Zstd)),
            (&["*, zstd;q=0"], Some(Gzip)),
            (&["*;q=0.5, gzip"], Some(Gzip)),
            (&["br, deflate"], Some(Identity)),
            (&["identity, gzip;q=0.5"], Some(Identity)),
            (&["identity;q=0.5, gzip;q=0.6"], Some(Gzip)),
            (&["identity;q=0"], None),
            (&["identity;q=0, gzip"], Some(Gzip)),
            (&["*;q=0"], None),
            (&["*;q=0, gzip"], Some(Gzip)),
            (&["*;q=0, identity"], Some(Identity)),
            (&["gzip;q=high"], Some(Identity)),
            (&["gzip;level=9;q=0.2"], Some(Gzip)),
        ] {
            assert_eq!(wanted(lines), encoding, "{lines:?}");
        }
    }

    #[test]
    fn zstd_only_for_who_names_it() {
        for (text, named) in [
            ("zstd", true),
            ("gzip, zstd;q=0.5", true),
            ("gzip,ZSTD", true),
            ("zstd;q=0", false),
            ("zstd;q=0.000", false),
            ("zstd;q=0.5, identity", false),
            ("zstd, identity;q=0.5", true),
            ("gzip", false),
            ("*", false),
            ("*, identity;q=0", true),
            ("*;q=0", false),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(text))]);
            assert_eq!(names_zstd(&headers), named, "{text}");
        }
    }

    #[test]
    fn what_is_sent_can_be_read_at_once() {
        let mut gzip = Packer::new(ContentEncoding::Gzip, true).unwrap();
        let first = gzip.take(b"one\n", true).unwrap();
        let mut seen = [0; 4];
        flate2::read::GzDecoder::new(&first[..]).read_exact(&mut seen).unwrap();
        assert_eq!(&seen, b"one\n");
        let mut zstd = Packer::new(ContentEncoding::Zstd, true).unwrap();
        let first = zstd.take(b"one\n", true).unwrap();
        zstd::stream::read::Decoder::new(&first[..]).unwrap().read_exact(&mut seen).unwrap();
        assert_eq!(&seen, b"one\n");
        let whole = [&first[..], &zstd.take(b"two\n", false).unwrap(), &zstd.finish().unwrap()].concat();
        assert_eq!(zstd::decode_all(&whole[..]).unwrap(), b"one\ntwo\n");
    }
}
