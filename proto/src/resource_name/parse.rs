//! Takes resource names apart. An instance may have any number of segments but none of the keywords, so that a name to
//! read is looked at from its end, and an upload, whose end is ignored, from its first keyword.

use super::{
    Compressor, RESOURCE_ID_MAX_BYTES, RESOURCE_NAME_MAX_BYTES, RESOURCE_NAME_SHOWN_MAX_BYTES, ReadName,
    ResourceNameError, ResourceNameReason as Reason, WriteName, WriteToken,
};
use crate::{
    digest::{Digest, DigestError, DigestFunction},
    instance_name::InstanceName,
};

const BLOBS: &str = "blobs";
const COMPRESSED_BLOBS: &str = "compressed-blobs";
const UPLOADS: &str = "uploads";
const LOGSTREAMS: &str = "logstreams";

/// Functions that others have and Millrace has not, to tell them from broken hashes.
const UNSUPPORTED_FUNCTIONS: [&str; 4] = ["gitsha1", "murmur3", "sha256tree", "vso"];

pub(super) fn read(name: &str) -> Result<ReadName, ResourceNameError> {
    explain(name, |segments| {
        if let [before @ .., LOGSTREAMS, id] = segments {
            return Ok(ReadName::Log { parent: instance(before)?, id: identifier("log id", id)? });
        }
        let keyword = segments.iter().rposition(|segment| [BLOBS, COMPRESSED_BLOBS].contains(segment));
        let Some(keyword) = keyword else {
            return Err(if matches!(segments, [.., LOGSTREAMS, _, _]) {
                Reason::LogWriteName
            } else {
                Reason::NoReadName
            });
        };
        let (before, after) = segments.split_at(keyword);
        if before.contains(&UPLOADS) {
            return Err(Reason::NoReadName);
        }
        let (compressor, digest, ignored) = content(after).map_err(|reason| reason.unwrap_or(Reason::NoReadName))?;
        if !ignored.is_empty() {
            return Err(Reason::NoReadName);
        }
        Ok(ReadName::Blob { instance: instance(before)?, digest, compressor })
    })
}

pub(super) fn write(name: &str) -> Result<WriteName, ResourceNameError> {
    explain(name, |segments| {
        if let Some(keyword) = segments.iter().position(|segment| *segment == UPLOADS) {
            let (before, after) = segments.split_at(keyword);
            let [_, uuid, after @ ..] = after else { return Err(Reason::NoWriteName) };
            let (compressor, digest, _) = content(after).map_err(|reason| reason.unwrap_or(Reason::NoWriteName))?;
            return Ok(WriteName::Blob {
                instance: instance(before)?,
                uuid: identifier("upload uuid", uuid)?,
                digest,
                compressor,
            });
        }
        match segments {
            [before @ .., LOGSTREAMS, id, token] => Ok(WriteName::Log {
                parent: instance(before)?,
                id: identifier("log id", id)?,
                token: WriteToken::new(identifier("log write token", token)?),
            }),
            [.., LOGSTREAMS, _] => Err(Reason::LogReadName),
            _ => Err(Reason::NoWriteName),
        }
    })
}

/// Splits a name and puts it, cut, into the error.
fn explain<T>(name: &str, parse: impl FnOnce(&[&str]) -> Result<T, Reason>) -> Result<T, ResourceNameError> {
    let parsed = if name.len() > RESOURCE_NAME_MAX_BYTES {
        Err(Reason::TooLong(name.len()))
    } else {
        parse(&name.split('/').collect::<Vec<_>>())
    };
    parsed.map_err(|reason| {
        let mut end = name.len().min(RESOURCE_NAME_SHOWN_MAX_BYTES);
        if let Some(secret) = secret(name) {
            end = end.min(secret);
        }
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        let cut = if end < name.len() { "..." } else { "" };
        ResourceNameError { shown: format!("{}{cut}", &name[..end]), reason }
    })
}

/// Where the write token of a log begins, in a name that may be otherwise broken.
fn secret(name: &str) -> Option<usize> {
    let after = name.rfind(LOGSTREAMS)? + LOGSTREAMS.len();
    let id = name[after..].strip_prefix('/')?;
    Some(after + 1 + id.find('/')? + 1)
}

/// Takes `blobs/...` or `compressed-blobs/...` and gives back what follows the digest. Fails with nothing when the shape
/// is wrong: which shape it should be is for the caller to say.
fn content<'a, 'b>(segments: &'a [&'b str]) -> Result<(Compressor, Digest, &'a [&'b str]), Option<Reason>> {
    let (compressor, after) = match segments {
        [BLOBS, after @ ..] => (Compressor::Identity, after),
        [COMPRESSED_BLOBS, compressor, after @ ..] => (compressed(compressor)?, after),
        _ => return Err(None),
    };
    match after {
        [function, hash, size, after @ ..] if DigestFunction::from_path_segment(function).is_some() => {
            let function = named(function)?;
            Ok((compressor, digest(function, hash, size)?, after))
        }
        [function, _, _, ..] if UNSUPPORTED_FUNCTIONS.contains(function) => {
            Err(Some(DigestError::Function((*function).to_owned()).into()))
        }
        [hash, size, after @ ..] => {
            let function = DigestFunction::infer(hash.len())
                .ok_or(DigestError::Infer(hash.len()))
                .map_err(|error| Some(error.into()))?;
            Ok((compressor, digest(function, hash, size)?, after))
        }
        _ => Err(None),
    }
}

fn compressed(segment: &str) -> Result<Compressor, Option<Reason>> {
    let found = Compressor::from_path_segment(segment).filter(|compressor| *compressor != Compressor::Identity);
    found.ok_or(Some(Reason::Compressor))
}

/// A function that paths have to name; the others have one spelling only, the one without.
fn named(segment: &str) -> Result<DigestFunction, Option<Reason>> {
    DigestFunction::from_path_segment(segment).filter(|function| function.named_in_paths()).ok_or(None)
}

fn digest(function: DigestFunction, hash: &str, size: &str) -> Result<Digest, Option<Reason>> {
    let digits = !size.is_empty() && size.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = digits && (size == "0" || !size.starts_with('0'));
    let size = size.parse().ok().filter(|_| canonical).ok_or(Some(Reason::Size))?;
    Digest::parse(function, hash, size).map_err(|error| Some(error.into()))
}

/// A name that starts with a slash has an empty first segment, which is the empty instance with its slash kept.
fn instance(segments: &[&str]) -> Result<InstanceName, Reason> {
    Ok(InstanceName::parse(&segments.join("/"))?)
}

fn identifier(what: &'static str, segment: &str) -> Result<String, Reason> {
    let fits = (1..=RESOURCE_ID_MAX_BYTES).contains(&segment.len());
    if fits && !segment.chars().any(char::is_control) { Ok(segment.to_owned()) } else { Err(Reason::Id(what)) }
}
