//! YAML events to a tree with byte offsets, within a budget: depth, aliases, values and text are limited, so that a
//! small file cannot become a large tree. Knows nothing of workflows.

use std::collections::HashMap;
use std::rc::Rc;

use serde_json::{Number, Value};
use serde_saphyr::granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, Span, Tag, options};

use super::diagnostic::{Diagnostic, Spot};
use super::source::Source;
use super::{DIAGNOSTICS_MAX, YAML_MAX_ALIASES, YAML_MAX_DEPTH, YAML_MAX_TEXT_BYTES, YAML_MAX_VALUES};

/// A value and where it starts.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) start: usize,
    pub(super) kind: Kind,
    // The values and the text bytes in it, aliases counted each time.
    values: usize,
    bytes: usize,
}

#[derive(Debug)]
pub(super) enum Kind {
    Scalar(Scalar),
    List(Vec<Rc<Node>>),
    Map(Vec<Entry>),
}

#[derive(Debug)]
pub(super) struct Scalar {
    pub(super) text: String,
    pub(super) style: ScalarStyle,
    is_string: bool,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_start: usize,
    pub(super) value: Rc<Node>,
}

impl Node {
    /// What it is, in words.
    pub(super) fn describe(&self) -> &'static str {
        match &self.kind {
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
            Kind::Scalar(scalar) => super::expand::kind(&scalar.value()),
        }
    }

    /// A written boolean.
    pub(super) fn as_bool(&self) -> Option<bool> {
        match &self.kind {
            Kind::Scalar(scalar) => scalar.value().as_bool(),
            _ => None,
        }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar(scalar) if scalar.value().is_null())
    }
}

impl Scalar {
    /// The value by YAML 1.2's core schema: only plain text can be anything but a string.
    pub(super) fn value(&self) -> Value {
        if self.is_string || self.style != ScalarStyle::Plain {
            return Value::String(self.text.clone());
        }
        match self.text.as_str() {
            "" | "~" | "null" | "Null" | "NULL" => Value::Null,
            "true" | "True" | "TRUE" => Value::Bool(true),
            "false" | "False" | "FALSE" => Value::Bool(false),
            text => number(text).map_or_else(|| Value::String(text.to_owned()), Value::Number),
        }
    }
}

/// The document of a file. Duplicate keys are found here, too: the first stays.
pub(super) fn document(source: &Source<'_>) -> Result<(Option<Rc<Node>>, Vec<Diagnostic>), Diagnostic> {
    let limits = options! { emit_comments: false };
    let mut parser = Parser::new_from_str_with_options(source.text, limits);
    let mut tree = Tree::new(source);
    while let Some(next) = parser.next_event() {
        let (event, span) = next.map_err(|error| scan_error(source, &error))?;
        let start = offset(source, &span);
        tree.take(event, start).map_err(|message| {
            // A tag stands before the value that starts here.
            let tag = span.tag_start().and_then(|marker| marker.byte_offset());
            Diagnostic::error(source.file, source.spot(tag.unwrap_or(start)), message)
        })?;
    }
    Ok((tree.root, tree.duplicates))
}

struct Tree<'s> {
    source: &'s Source<'s>,
    open: Vec<Open>,
    root: Option<Rc<Node>>,
    documents: usize,
    anchors: HashMap<usize, Rc<Node>>,
    aliases: usize,
    values: usize,
    bytes: usize,
    duplicates: Vec<Diagnostic>,
}

/// A list or map that has not ended.
struct Open {
    start: usize,
    anchor: usize,
    values: usize,
    bytes: usize,
    content: Content,
}

enum Content {
    List(Vec<Rc<Node>>),
    Map { entries: Vec<Entry>, places: HashMap<String, usize>, key: Option<(String, usize)> },
}

impl<'s> Tree<'s> {
    fn new(source: &'s Source<'s>) -> Self {
        Self {
            source,
            open: Vec::new(),
            root: None,
            documents: 0,
            anchors: HashMap::new(),
            aliases: 0,
            values: 0,
            bytes: 0,
            duplicates: Vec::new(),
        }
    }

    fn take(&mut self, event: Event<'_>, start: usize) -> Result<(), String> {
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err("a second document: a file holds one workflow".to_owned());
                }
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                let is_string = scalar_tag(tag.as_deref())?;
                let bytes = text.len();
                let scalar = Scalar { text: text.into_owned(), style, is_string };
                self.spend(1, bytes)?;
                self.add(Rc::new(Node { start, kind: Kind::Scalar(scalar), values: 1, bytes }), anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                collection_tag(tag.as_deref(), "seq")?;
                self.begin(start, anchor, Content::List(Vec::new()))
            }
            Event::MappingStart(_, anchor, tag) => {
                collection_tag(tag.as_deref(), "map")?;
                let content = Content::Map { entries: Vec::new(), places: HashMap::new(), key: None };
                self.begin(start, anchor, content)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => self.alias(anchor),
            _ => Ok(()),
        }
    }

    fn begin(&mut self, start: usize, anchor: usize, content: Content) -> Result<(), String> {
        if self.open.len() >= YAML_MAX_DEPTH {
            return Err(too_deep());
        }
        self.spend(1, 0)?;
        self.open.push(Open { start, anchor, values: 1, bytes: 0, content });
        Ok(())
    }

    fn end(&mut self) -> Result<(), String> {
        let Some(Open { start, anchor, values, bytes, content }) = self.open.pop() else {
            return Ok(());
        };
        let kind = match content {
            Content::List(items) => Kind::List(items),
            Content::Map { entries, .. } => Kind::Map(entries),
        };
        self.add(Rc::new(Node { start, kind, values, bytes }), anchor)
    }

    fn alias(&mut self, anchor: usize) -> Result<(), String> {
        self.aliases += 1;
        if self.aliases > YAML_MAX_ALIASES {
            return Err(format!("more than {YAML_MAX_ALIASES} aliases (`*name`)"));
        }
        let node = self.anchors.get(&anchor).cloned().ok_or("an alias inside the value that it stands for")?;
        self.spend(node.values, node.bytes)?;
        self.add(node, 0)
    }

    /// Counts before anything is kept: the sum is what a reader of the tree would walk.
    fn spend(&mut self, values: usize, bytes: usize) -> Result<(), String> {
        self.values += values;
        self.bytes += bytes;
        if self.values > YAML_MAX_VALUES {
            return Err(format!("the file comes to more than {YAML_MAX_VALUES} values (aliases count each time)"));
        }
        if self.bytes > YAML_MAX_TEXT_BYTES {
            return Err(format!(
                "the file comes to more than {YAML_MAX_TEXT_BYTES} bytes of text (aliases count each time)"
            ));
        }
        Ok(())
    }

    fn add(&mut self, node: Rc<Node>, anchor: usize) -> Result<(), String> {
        if anchor != 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        open.values += node.values;
        open.bytes += node.bytes;
        match &mut open.content {
            Content::List(items) => items.push(node),
            Content::Map { entries, places, key } => match key.take() {
                None => {
                    let Kind::Scalar(scalar) = &node.kind else {
                        return Err(format!("a key must be text, found {}", node.describe()));
                    };
                    *key = Some((scalar.text.clone(), node.start));
                }
                Some((name, key_start)) => {
                    if let Some(first) = places.get(&name) {
                        if self.duplicates.len() == DIAGNOSTICS_MAX {
                            return Ok(());
                        }
                        let first = self.source.spot(*first).line;
                        let message = format!("key `{name}` stands here a second time, first in line {first}");
                        let at = self.source.spot(key_start);
                        self.duplicates.push(Diagnostic::error(self.source.file, at, message));
                    } else {
                        places.insert(name.clone(), key_start);
                        entries.push(Entry { key: name, key_start, value: node });
                    }
                }
            },
        }
        Ok(())
    }
}

/// Whether a scalar's tag makes it a string.
fn scalar_tag(tag: Option<&Tag>) -> Result<bool, String> {
    match tag.map(|tag| (tag.core_suffix(), tag)) {
        None | Some((Some("null" | "bool" | "int" | "float"), _)) => Ok(false),
        Some((Some("str"), _)) => Ok(true),
        Some((_, tag)) if tag.original() == "!" => Ok(true),
        Some((_, tag)) => {
            let tag = tag.original();
            Err(format!("tag `{tag}` is not supported: quote a text that starts with `!`"))
        }
    }
}

fn collection_tag(tag: Option<&Tag>, expected: &str) -> Result<(), String> {
    match tag {
        Some(tag) if tag.core_suffix() != Some(expected) => Err(format!("tag `{}` is not supported", tag.original())),
        _ => Ok(()),
    }
}

fn too_deep() -> String {
    format!("nested deeper than {YAML_MAX_DEPTH} levels")
}

fn offset(source: &Source<'_>, span: &Span) -> usize {
    span.start.byte_offset().unwrap_or(0).min(source.text.len())
}

fn scan_error(source: &Source<'_>, error: &ScanError) -> Diagnostic {
    let marker = error.marker();
    let at = marker
        .byte_offset()
        .unwrap_or_else(|| source.text.char_indices().nth(marker.index()).map_or(source.text.len(), |(at, _)| at));
    let at = source.spot(at.min(source.text.len()));
    if let Some(spot) = tab_near(source, at) {
        return Diagnostic::error(
            source.file,
            spot,
            "not valid YAML: a tab in the indentation, which takes only spaces",
        );
    }
    let text = error.info();
    if matches!(error.kind(), ErrorKind::UnknownAnchor) {
        return Diagnostic::error(source.file, at, "an alias (`*name`) without its anchor (`&name`) before it");
    }
    if text.contains("recursion limit") || text.contains("nesting") {
        return Diagnostic::error(source.file, at, too_deep());
    }
    Diagnostic::error(source.file, at, format!("not valid YAML: {text}"))
}

/// A tab in the indentation of the line of an error, or of the lines around it: the usual cause.
fn tab_near(source: &Source<'_>, at: Spot) -> Option<Spot> {
    (at.line.saturating_sub(1).max(1)..=at.line + 1).find_map(|line| {
        let text = source.line(line);
        let indentation = &text[..text.len() - text.trim_start().len()];
        let column = indentation.find('\t')?;
        (!text.trim().is_empty()).then_some(Spot { line, column: column as u32 + 1 })
    })
}

fn number(text: &str) -> Option<Number> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if let Some(hex) = text.strip_prefix("0x") {
        return i64::from_str_radix(hex, 16).ok().map(Number::from);
    }
    if let Some(octal) = text.strip_prefix("0o") {
        return i64::from_str_radix(octal, 8).ok().map(Number::from);
    }
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') || !digits.contains(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if !digits.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-')) {
        return None;
    }
    let text = text.strip_prefix('+').unwrap_or(text);
    text.parse::<i64>().ok().map(Number::from).or_else(|| text.parse::<f64>().ok().and_then(Number::from_f64))
}
