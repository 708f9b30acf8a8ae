//! What a result names: every digest in it, parsed. Knows nothing of where the blobs are.

use buffa::{MessageField, ProtoBox};
use bytes::Bytes;
use millrace_proto::digest::{Digest, DigestFunction};
use millrace_proto::reapi;
use millrace_proto::reapi::ActionResult;

use crate::error::{Error, Result};

/// The digests that a result names. All are of the function of its action's digest.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outputs {
    /// Files, standard output and standard error.
    pub blobs: Vec<Digest>,
    /// Tree messages.
    pub trees: Vec<Digest>,
    /// Directory messages at the tops of output directories.
    pub roots: Vec<Digest>,
}

impl Outputs {
    /// The digests of a result; an error names the field that is no digest.
    pub fn of(function: DigestFunction, result: &ActionResult) -> Result<Self> {
        let mut outputs = Self { blobs: Vec::with_capacity(result.output_files.len() + 2), ..Self::default() };
        for file in &result.output_files {
            let field = "action_result.output_files.digest";
            let digest = required(function, &file.digest, field, &file.path)?;
            outputs.blobs.push(digest);
        }
        outputs.blobs.extend(optional(function, &result.stdout_digest, "action_result.stdout_digest", "")?);
        outputs.blobs.extend(optional(function, &result.stderr_digest, "action_result.stderr_digest", "")?);
        for directory in &result.output_directories {
            let path = &directory.path;
            let (tree, root) = (&directory.tree_digest, &directory.root_directory_digest);
            let tree = optional(function, tree, "action_result.output_directories.tree_digest", path)?;
            let root = optional(function, root, "action_result.output_directories.root_directory_digest", path)?;
            if tree.is_none() && root.is_none() {
                let message = format!("output {path:?} has neither this nor root_directory_digest");
                return Err(Error::invalid("action_result.output_directories.tree_digest", message));
            }
            outputs.trees.extend(tree);
            outputs.roots.extend(root);
        }
        Ok(outputs)
    }
}

/// Contents that a result carries itself and names a digest for as well: (digest, content, field).
pub fn carried(function: DigestFunction, result: &ActionResult) -> Result<Vec<(Digest, Bytes, &'static str)>> {
    let mut carried = Vec::new();
    let mut take = |digest: Option<Digest>, content: &Bytes, field| {
        if let Some(digest) = digest.filter(|_| !content.is_empty()) {
            carried.push((digest, content.clone(), field));
        }
    };
    let stdout = optional(function, &result.stdout_digest, "action_result.stdout_digest", "")?;
    take(stdout, &result.stdout_raw, "action_result.stdout_raw");
    let stderr = optional(function, &result.stderr_digest, "action_result.stderr_digest", "")?;
    take(stderr, &result.stderr_raw, "action_result.stderr_raw");
    for file in result.output_files.iter().filter(|file| !file.contents.is_empty()) {
        let digest = required(function, &file.digest, "action_result.output_files.digest", &file.path)?;
        take(Some(digest), &file.contents, "action_result.output_files.contents");
    }
    Ok(carried)
}

/// A digest that may be left out. Some clients leave it out by sending an empty one.
pub fn optional<P: ProtoBox<reapi::Digest>>(
    function: DigestFunction,
    digest: &MessageField<reapi::Digest, P>,
    field: &'static str,
    path: &str,
) -> Result<Option<Digest>> {
    let Some(digest) = digest.as_option().filter(|digest| !digest.hash.is_empty() || digest.size_bytes != 0) else {
        return Ok(None);
    };
    Digest::parse(function, &digest.hash, digest.size_bytes).map(Some).map_err(|error| {
        let of = if path.is_empty() { String::new() } else { format!("output {path:?}: ") };
        Error::invalid(field, format!("{of}{error}"))
    })
}

fn required<P: ProtoBox<reapi::Digest>>(
    function: DigestFunction,
    digest: &MessageField<reapi::Digest, P>,
    field: &'static str,
    path: &str,
) -> Result<Digest> {
    optional(function, digest, field, path)?
        .ok_or_else(|| Error::invalid(field, format!("output {path:?} has no digest")))
}
