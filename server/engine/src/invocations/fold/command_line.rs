//! Command lines: as they were typed, and with all that configuration files added.

use millrace_proto::build_event_stream as bes;
use millrace_proto::build_event_stream::command_line_section::SectionType;

use super::Fold;
use super::text::{cut, without_secret};
use crate::invocations::limits::{PATTERNS_MAX, WORDS_MAX};

/// Options by which Bazel's client tells its server of itself; nobody typed them.
const INTERNAL: [&str; 12] = [
    "binary_path",
    "client_cwd",
    "client_env",
    "command_wait_time",
    "default_override",
    "extract_data_time",
    "ignore_client_env",
    "isatty",
    "rc_source",
    "restart_reason",
    "startup_time",
    "terminal_columns",
];

impl Fold {
    pub(super) fn command_line(&mut self, line: &bes::CommandLine) {
        let words = words(line);
        match line.command_line_label.as_str() {
            "original" => self.doc.command_line = self.limited(words, "command_line"),
            "canonical" => self.doc.canonical_command_line = self.limited(words, "canonical_command_line"),
            // "tool" says what runs Bazel, and is mostly empty.
            _ => {}
        }
    }

    pub(super) fn options(&mut self, options: &bes::OptionsParsed) {
        let given = options.explicit_startup_options.iter().chain(&options.explicit_cmd_line);
        let given = given.filter_map(|option| without_secret(option)).collect();
        self.doc.explicit_options = self.limited(given, "explicit_options");
    }

    /// The patterns that were asked for.
    pub(super) fn patterns(&mut self, patterns: &[String]) {
        for pattern in patterns {
            if !self.doc.patterns.contains(pattern) {
                self.push(|doc| &mut doc.patterns, PATTERNS_MAX, "patterns", cut(pattern));
            }
        }
    }

    fn limited(&mut self, mut words: Vec<String>, what: &str) -> Vec<String> {
        if words.len() > WORDS_MAX {
            words.truncate(WORDS_MAX);
            self.truncated(format!("{what}: the first {WORDS_MAX} words are shown"));
        }
        words
    }
}

fn words(line: &bes::CommandLine) -> Vec<String> {
    let mut words = Vec::new();
    for section in &line.sections {
        match &section.section_type {
            Some(SectionType::ChunkList(chunks)) => {
                words.extend(chunks.chunk.iter().filter_map(|word| without_secret(word)));
            }
            Some(SectionType::OptionList(options)) => {
                let typed = options.option.iter().filter(|option| {
                    !option.combined_form.is_empty() && !INTERNAL.contains(&option.option_name.as_str())
                });
                words.extend(typed.filter_map(|option| without_secret(&option.combined_form)));
            }
            None => {}
        }
    }
    words
}
