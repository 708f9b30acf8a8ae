//! Files that a build made, and the sets they are told in.

use std::collections::{HashMap, HashSet, VecDeque};

use millrace_proto::build_event_stream as bes;
use millrace_proto::build_event_stream::file::File as Content;
use millrace_proto::millrace::v1 as api;
use millrace_proto::resource_name::ReadName;

use super::Fold;
use super::text::{cut, cut_to};
use crate::invocations::limits::{FILE_TEXT_MAX_BYTES, SET_FILES_MAX, SETS_VISITED_MAX, TARGET_OUTPUTS_MAX};

/// Sets of files, until targets name them.
#[derive(Clone, Debug, Default)]
pub struct Sets {
    by_id: HashMap<String, Set>,
    files: usize,
}

#[derive(Clone, Debug, Default)]
struct Set {
    files: Vec<api::BuildFile>,
    sets: Vec<String>,
    /// Files that were not kept.
    more: i64,
}

/// The outputs of a target: the first ones, and how many there are.
#[derive(Default)]
struct Shown {
    files: Vec<api::BuildFile>,
    total: i64,
}

impl Shown {
    fn push(&mut self, file: api::BuildFile) {
        self.total += 1;
        if self.files.len() < TARGET_OUTPUTS_MAX {
            self.files.push(file);
        }
    }
}

/// A file as the document shows it.
pub fn file(file: &bes::File) -> api::BuildFile {
    let mut name = file.path_prefix.join("/");
    if !name.is_empty() {
        name.push('/');
    }
    name.push_str(&file.name);
    let mut shown = api::BuildFile {
        name: cut(&name),
        hash: cut(&file.digest),
        size_bytes: file.length.max(0),
        ..Default::default()
    };
    match &file.file {
        Some(Content::Uri(uri)) => {
            shown.uri = cut(uri);
            blob(uri, &mut shown);
        }
        Some(Content::Contents(bytes)) => {
            shown.text = cut_to(&String::from_utf8_lossy(bytes), FILE_TEXT_MAX_BYTES);
            shown.size_bytes = bytes.len() as i64;
        }
        Some(Content::SymlinkTargetPath(target)) => shown.text = cut(target),
        None => {}
    }
    shown
}

/// What a `bytestream://host/{resource name}` says of its blob.
fn blob(uri: &str, shown: &mut api::BuildFile) {
    let Some((_, name)) = uri.strip_prefix("bytestream://").and_then(|rest| rest.split_once('/')) else { return };
    if let Ok(ReadName::Blob { instance, digest, .. }) = ReadName::parse(name) {
        instance.as_str().clone_into(&mut shown.instance);
        digest.function().path_segment().clone_into(&mut shown.digest_function);
        shown.hash = digest.hex();
        shown.size_bytes = digest.size_wire();
    }
}

impl Fold {
    pub(super) fn named_set(&mut self, id: &str, set: &bes::NamedSetOfFiles) {
        let room = SET_FILES_MAX - self.sets.files;
        // A target shows so many only.
        let kept = set.files.len().min(TARGET_OUTPUTS_MAX).min(room);
        let files = set.files[..kept].iter().map(file).collect();
        let sets = set.file_sets.iter().map(|set| set.id.clone()).collect();
        self.sets.files += kept.max(1).min(room);
        if room == 0 {
            self.truncated(format!("outputs: the files of the first {SET_FILES_MAX} are known"));
            return;
        }
        self.sets.by_id.insert(id.to_owned(), Set { files, sets, more: (set.files.len() - kept) as i64 });
    }

    /// The outputs of a target, and how many there are.
    pub(super) fn outputs(&self, complete: &bes::TargetComplete) -> (Vec<api::BuildFile>, i64) {
        let mut shown = Shown::default();
        let groups = &complete.output_group;
        groups.iter().flat_map(|group| &group.inline_files).for_each(|one| shown.push(file(one)));
        let mut seen = HashSet::new();
        let mut next: VecDeque<&str> =
            groups.iter().flat_map(|group| &group.file_sets).map(|set| set.id.as_str()).collect();
        while let Some(id) = next.pop_front() {
            if seen.len() == SETS_VISITED_MAX || !seen.insert(id) {
                continue;
            }
            let Some(set) = self.sets.by_id.get(id) else { continue };
            set.files.iter().for_each(|file| shown.push(file.clone()));
            shown.total += set.more;
            next.extend(set.sets.iter().map(String::as_str));
        }
        complete.directory_output.iter().for_each(|one| shown.push(file(one)));
        if shown.total == 0 {
            // Older ones say it in one list only.
            #[allow(deprecated)]
            complete.important_output.iter().for_each(|one| shown.push(file(one)));
        }
        (shown.files, shown.total)
    }
}
