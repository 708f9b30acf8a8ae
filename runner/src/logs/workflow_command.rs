//! `::name key=value::text` lines, as on GitHub. Knows nothing of what they lead to.

/// A line that is a command.
#[derive(Debug, PartialEq, Eq)]
pub enum WorkflowCommand {
    /// Rows until the end of the group belong together.
    Group(String),
    /// The end of the group.
    EndGroup,
    /// Something to show to people.
    Annotation(Level, Annotation),
    /// For whoever looks closer.
    Debug(String),
    /// A value to mask from here on.
    AddMask(String),
    /// No commands until `::token::`.
    StopCommands(String),
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// It is wrong.
    Error,
    /// It may be wrong.
    Warning,
    /// It is worth knowing.
    Notice,
}

/// What is to be shown, and the place it is about.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Annotation {
    message: String,
    title: String,
    file: String,
    line: String,
    column: String,
}

impl Level {
    /// Its word in the log.
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Notice => "notice",
        }
    }
}

impl Annotation {
    /// The text of the log: `title: message (file:line:column)`.
    pub fn text(&self) -> String {
        let mut text = String::new();
        if !self.title.is_empty() {
            text.push_str(&self.title);
            text.push_str(": ");
        }
        text.push_str(&self.message);
        if !self.file.is_empty() {
            let place = [&self.file, &self.line, &self.column].map(String::as_str);
            let place = place.into_iter().take_while(|part| !part.is_empty()).collect::<Vec<_>>();
            text.push_str(&format!(" ({})", place.join(":")));
        }
        text
    }
}

/// The command in a line, if it is one that we know.
pub fn parse(line: &str) -> Option<WorkflowCommand> {
    let rest = line.trim_start().strip_prefix("::")?;
    let (head, text) = rest.split_once("::")?;
    let (name, properties) = head.split_once(' ').unwrap_or((head, ""));
    let message = unescape(text, false);
    Some(match name.to_ascii_lowercase().as_str() {
        "group" => WorkflowCommand::Group(message),
        "endgroup" => WorkflowCommand::EndGroup,
        "debug" => WorkflowCommand::Debug(message),
        "add-mask" => WorkflowCommand::AddMask(message),
        "stop-commands" if !message.trim().is_empty() => WorkflowCommand::StopCommands(message.trim().to_owned()),
        "error" => WorkflowCommand::Annotation(Level::Error, annotation(properties, message)),
        "warning" => WorkflowCommand::Annotation(Level::Warning, annotation(properties, message)),
        "notice" => WorkflowCommand::Annotation(Level::Notice, annotation(properties, message)),
        _ => return None,
    })
}

/// Whether the line gives back what `::stop-commands::token` took.
pub fn resumes(line: &str, token: &str) -> bool {
    let rest = line.trim().strip_prefix("::").and_then(|rest| rest.strip_suffix("::"));
    rest == Some(token)
}

fn annotation(properties: &str, message: String) -> Annotation {
    let mut annotation = Annotation { message, ..Annotation::default() };
    for property in properties.split(',') {
        let Some((key, value)) = property.split_once('=') else { continue };
        let value = unescape(value.trim(), true);
        match key.trim().to_ascii_lowercase().as_str() {
            "title" => annotation.title = value,
            "file" => annotation.file = value,
            "line" => annotation.line = value,
            "col" => annotation.column = value,
            // endLine, endColumn: the log names where it begins.
            _ => {}
        }
    }
    annotation
}

fn unescape(text: &str, property: bool) -> String {
    let mut text = text.replace("%0D", "\r").replace("%0A", "\n");
    if property {
        text = text.replace("%3A", ":").replace("%2C", ",");
    }
    text.replace("%25", "%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands() {
        assert_eq!(parse("::group::My title"), Some(WorkflowCommand::Group("My title".into())));
        assert_eq!(parse("  ::endgroup::"), Some(WorkflowCommand::EndGroup));
        assert_eq!(parse("::add-mask::a%25b"), Some(WorkflowCommand::AddMask("a%b".into())));
        assert_eq!(parse("::stop-commands::t"), Some(WorkflowCommand::StopCommands("t".into())));
        assert!(resumes("::t::", "t") && !resumes("::u::", "t"));
        for line in ["plain", "::", "a ::group::x", "::unknown::x", "::group", "::stop-commands::"] {
            assert_eq!(parse(line), None, "{line}");
        }
    }

    #[test]
    fn annotations() {
        let text = |line: &str| match parse(line) {
            Some(WorkflowCommand::Annotation(level, annotation)) => format!("{} {}", level.word(), annotation.text()),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            text("::error file=a.rs,line=3,col=7,title=Oh%3A no::it%0Abroke"),
            "error Oh: no: it\nbroke (a.rs:3:7)"
        );
        assert_eq!(text("::warning::careful"), "warning careful");
        assert_eq!(text("::notice file=x::y"), "notice y (x)");
    }
}
