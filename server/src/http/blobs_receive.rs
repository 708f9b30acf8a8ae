//! A body on its way into the cache, piece by piece: never more of it in memory than a piece.

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use futures::StreamExt;
use millrace_engine::blobs::{Encoding, Receive};
use millrace_engine::error::Error;
use millrace_proto::digest::{Digest, DigestFunction};
use millrace_proto::instance_name::InstanceName;

use super::blobs_refusal::CacheRefusal;
use crate::app::App;

/// A body that was announced and may come.
pub struct Incoming<'a> {
    app: &'a App,
    encoding: Encoding,
    /// What `Content-Length` says: the encoded bytes.
    length: Option<u64>,
    body: Body,
}

impl<'a> Incoming<'a> {
    /// Looks at what is announced; what can't be taken is refused before a byte of it is read.
    pub fn of(app: &'a App, headers: &HeaderMap, body: Body) -> Result<Self, CacheRefusal> {
        let encoding = match headers.get(header::CONTENT_ENCODING).map(|value| value.to_str().unwrap_or("?")) {
            None | Some("identity" | "") => Encoding::Identity,
            Some("zstd") => Encoding::Zstd,
            Some(other) => {
                let error =
                    Error::invalid("Content-Encoding", format!("{other:?} is not taken; zstd and identity are"));
                return Err(CacheRefusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, error));
            }
        };
        if headers.contains_key(header::CONTENT_RANGE) {
            return Err(Error::invalid("Content-Range", "parts of a blob are not taken; send all of it").into());
        }
        let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        let limit = app.cache.blobs.limits().blob_max_bytes;
        if length.is_some_and(|length| length > limit) {
            return Err(CacheRefusal::too_large(limit));
        }
        Ok(Self { app, encoding, length, body })
    }

    /// Takes the body into the room. It must have this hash, if one is given; nothing is left of one that has not.
    pub async fn receive(
        self,
        instance: &InstanceName,
        function: DigestFunction,
        hash: Option<&[u8]>,
    ) -> Result<Digest, CacheRefusal> {
        let size = self.length.filter(|_| self.encoding == Encoding::Identity);
        let mut receive = self.app.cache.blobs.receive(instance, function, self.encoding, size).await?;
        let limit = self.app.cache.blobs.limits().blob_max_bytes;
        let mut pieces = self.body.into_data_stream();
        let mut taken: u64 = 0;
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|error| Error::invalid("body", format!("ended early: {error}")))?;
            taken += piece.len() as u64;
            if taken > limit {
                return Err(CacheRefusal::too_large(limit));
            }
            if !piece.is_empty() {
                receive.write(piece).await?;
            }
        }
        Ok(finish(receive, hash).await?)
    }

    /// The whole body, decoded or not as it came, when it is small.
    pub async fn small(self, limit: usize) -> Result<Bytes, CacheRefusal> {
        if self.encoding != Encoding::Identity {
            let error = Error::invalid("Content-Encoding", "action results are not compressed");
            return Err(CacheRefusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, error));
        }
        if self.length.is_some_and(|length| length > limit as u64) {
            return Err(CacheRefusal::too_large(limit as u64));
        }
        // The only fault besides the limit is a client that went away.
        axum::body::to_bytes(self.body, limit).await.map_err(|_| CacheRefusal::too_large(limit as u64))
    }
}

async fn finish(mut receive: Receive, hash: Option<&[u8]>) -> Result<Digest, Error> {
    let digest = receive.digest()?;
    if let Some(wanted) = hash
        && wanted != digest.hash()
    {
        let message = format!(
            "{} bytes with the {} hash {}, not that of the path",
            digest.size(),
            digest.function(),
            digest.hex()
        );
        return Err(Error::invalid("body", message));
    }
    receive.finish(Some(digest)).await
}
