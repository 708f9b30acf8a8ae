//! A run as a terminal may show it: its names and messages come from workflows and runners, and could have escape sequences
//! in them.

use millrace_proto::millrace::v1::Run;

use super::text::clean;

/// The run without what would steer a terminal.
pub fn harmless(mut run: Run) -> Run {
    for text in [&mut run.name, &mut run.file_name, &mut run.message, &mut run.actor] {
        make_harmless(text);
    }
    for job in &mut run.jobs {
        for text in [&mut job.key, &mut job.name, &mut job.message, &mut job.runner_name] {
            make_harmless(text);
        }
        for step in &mut job.steps {
            make_harmless(&mut step.name);
            make_harmless(&mut step.message);
        }
    }
    run
}

fn make_harmless(text: &mut String) {
    if text.chars().any(char::is_control) {
        *text = text.lines().map(|line| clean(line.as_bytes(), false)).collect::<Vec<_>>().join("\n");
    }
}

#[cfg(test)]
mod tests {
    use millrace_proto::millrace::v1::{Job, Step};

    use super::*;

    #[test]
    fn names_and_messages_steer_no_terminal() {
        let step = Step { name: "a\x1b]0;pwned\x07\x1b[2Jb".into(), ..Default::default() };
        let job = Job {
            key: "t\r\x1b[1A".into(),
            message: "one\ntwo\x1b[31m".into(),
            steps: vec![step],
            ..Default::default()
        };
        let run = harmless(Run { name: "plain".into(), jobs: vec![job], ..Default::default() });
        let job = &run.jobs[0];
        assert_eq!((run.name.as_str(), job.message.as_str(), job.steps[0].name.as_str()), ("plain", "one\ntwo", "ab"));
        assert!(!job.key.chars().any(char::is_control), "{:?}", job.key);
    }
}
