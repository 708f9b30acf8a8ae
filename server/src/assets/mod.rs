//! Brings in assets over HTTP(S): blobs, archives unpacked into trees, and git repositories. Nothing is dialled that is
//! not public or allowed.

mod addresses;
mod archive;
mod dial;
mod download;
mod git;
mod git_process;
mod git_tree;
mod headers;
mod sinks;

use async_trait::async_trait;
use millrace_engine::assets::{
    AssetKind, Brought, CHECKSUM, Downloader, Fault, Integrity, Landing, Upstream, Violation, Wanted,
};
use std::path::Path;
use url::Url;

use archive::Format;
use dial::Dialer;
use download::{Order, download};
use sinks::{BlobSink, FileSink};

pub use addresses::AllowList;

/// The type of a resource.
const RESOURCE_TYPE: &str = "resource_type";
/// Which part of a directory.
const DIRECTORY: &str = "directory";
/// Tells content apart that is at the same URIs; means nothing else.
const CANONICAL_ID: &str = "bazel.canonical_id";
/// The branch and the commit of a repository.
const VCS: [&str; 2] = ["vcs.branch", "vcs.commit"];
/// What a repository's type may be.
const GIT_TYPES: [&str; 2] = ["application/x-git", "application/git"];

/// Downloads.
pub struct HttpDownloader {
    dialer: Dialer,
    /// The most bytes of a download, and of what an archive or a repository unpacks to.
    max_bytes: u64,
}

/// What a directory comes as.
enum Source {
    Git,
    Archive(Format),
}

impl HttpDownloader {
    /// One that may go to public addresses and to what is allowed besides.
    pub fn new(allow: AllowList, max_bytes: u64) -> Self {
        Self { dialer: Dialer::new(allow), max_bytes }
    }

    async fn directory(&self, wanted: &Wanted, index: usize, landing: &Landing) -> Result<Brought, Fault> {
        let below = wanted.qualifiers.get(DIRECTORY).unwrap_or_default();
        let uri = &wanted.uris[index];
        match source(wanted, uri).ok_or_else(|| Fault::upstream(Upstream::Aborted, "an unknown resource_type"))? {
            Source::Git => git::bring(&self.dialer, wanted, index, landing, self.max_bytes, below).await,
            Source::Archive(format) => {
                let mut sink = FileSink::new();
                self.download(wanted, index, &mut sink).await?;
                let file = sink.finish().await?;
                let unpacked = archive::unpack(file, format, landing.tree(self.max_bytes), below, self.max_bytes).await;
                unpacked.map_err(|fault| match fault {
                    Fault::Upstream(kind, why) => Fault::Upstream(kind, format!("{}: {why}", shown(uri))),
                    fault @ Fault::Ours(_) => fault,
                })
            }
        }
    }

    async fn download(&self, wanted: &Wanted, index: usize, sink: &mut dyn download::Sink) -> Result<(), Fault> {
        let uri = &wanted.uris[index];
        let url = Url::parse(uri).map_err(|error| Fault::upstream(Upstream::NotFound, format!("{uri:?}: {error}")))?;
        let headers = headers::headers_for(&wanted.qualifiers, &wanted.uris, index)
            .map_err(|violation| Fault::upstream(Upstream::Aborted, violation.description))?;
        let integrity = wanted.qualifiers.get(CHECKSUM).map(Integrity::parse).transpose()?;
        let order = Order { url, headers, integrity: integrity.as_ref(), max_bytes: self.max_bytes };
        download(&self.dialer, &order, sink).await
    }
}

#[async_trait]
impl Downloader for HttpDownloader {
    fn check(&self, wanted: &Wanted) -> Result<(), Vec<Violation>> {
        let mut wrong = Vec::new();
        for (name, value) in wanted.qualifiers.iter().filter(|(name, _)| !headers::is_header(name)) {
            let directory = wanted.kind == AssetKind::Directory;
            let git = directory && wanted.uris.iter().any(|uri| matches!(source(wanted, uri), Some(Source::Git)));
            let supported = match name {
                CHECKSUM => !git,
                CANONICAL_ID | RESOURCE_TYPE => true,
                DIRECTORY => directory,
                name => git && VCS.contains(&name),
            };
            if !supported {
                let description = format!("\"{name}\" not supported");
                wrong.push(Violation { field: "qualifiers.name".into(), description });
            } else if name == RESOURCE_TYPE && !type_fits(wanted.kind, value) {
                let description = format!("{RESOURCE_TYPE} {value:?} not supported for this request");
                wrong.push(Violation { field: "qualifiers.value".into(), description });
            } else if name == CHECKSUM
                && let Err(error) = Integrity::parse(value)
            {
                wrong.push(Violation { field: "qualifiers.value".into(), description: error.to_string() });
            } else if name == DIRECTORY && (value.starts_with('/') || value.split('/').any(|part| part == "..")) {
                let description = format!("{DIRECTORY} {value:?} is not a path below the root");
                wrong.push(Violation { field: "qualifiers.value".into(), description });
            }
        }
        wrong.extend(git::check(&wanted.qualifiers));
        let headers = (0..wanted.uris.len()).map(|index| headers::headers_for(&wanted.qualifiers, &wanted.uris, index));
        wrong.extend(headers.filter_map(Result::err).take(1));
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }

    fn reaches(&self, uri: &str) -> bool {
        Url::parse(uri).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
    }

    async fn bring(&self, wanted: &Wanted, uri: usize, landing: &Landing) -> Result<Brought, Fault> {
        match wanted.kind {
            AssetKind::Directory => self.directory(wanted, uri, landing).await,
            AssetKind::Blob => {
                let mut sink = BlobSink::new(landing);
                self.download(wanted, uri, &mut sink).await?;
                Ok(Brought { digest: sink.finish().await?, with: Vec::new() })
            }
        }
    }
}

/// What a directory comes as: by what was said about it, else by its URI.
fn source(wanted: &Wanted, uri: &str) -> Option<Source> {
    match wanted.qualifiers.get(RESOURCE_TYPE) {
        Some(kind) if GIT_TYPES.contains(&kind) => Some(Source::Git),
        Some("application/octet-stream") => Some(Source::Archive(Format::Any)),
        Some(kind) => Format::of_type(kind).map(Source::Archive),
        None if VCS.iter().any(|name| wanted.qualifiers.get(name).is_some()) => Some(Source::Git),
        None if is_repository(uri) => Some(Source::Git),
        None => Some(Source::Archive(Format::Any)),
    }
}

/// Whether an address ends as those of repositories do.
fn is_repository(uri: &str) -> bool {
    let Ok(url) = Url::parse(uri) else { return false };
    Path::new(url.path().trim_end_matches('/')).extension().is_some_and(|extension| extension == "git")
}

/// A blob may be said to be anything but a repository.
fn type_fits(kind: AssetKind, value: &str) -> bool {
    match kind {
        AssetKind::Blob => !GIT_TYPES.contains(&value),
        AssetKind::Directory => {
            GIT_TYPES.contains(&value) || value == "application/octet-stream" || Format::of_type(value).is_some()
        }
    }
}

/// A URI without what is secret in it.
fn shown(uri: &str) -> String {
    Url::parse(uri).map_or_else(|_| uri.to_owned(), |url| dial::shown(&url))
}
