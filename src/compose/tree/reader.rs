//! From text to nodes: the only file that knows the YAML parser.
//!
//! Events become a flat arena first, then a tree with aliases and merge keys put in. The tree has a
//! budget of nodes, so that a few lines of nested aliases cannot grow into gigabytes.

use std::collections::{BTreeMap, HashMap};

use granit_parser::{Event, Options, Parser, ScalarStyle, Tag};

use super::{Map, Mark, Node, Path, Value, resolve};
use crate::compose::diagnostic::Problems;

/// The largest file that is read, in bytes.
pub(crate) const MAX_FILE: usize = 8 << 20;
/// The most nodes a document may have, with every alias put in.
const MAX_NODES: usize = 100_000;
/// The most documents of a file; each is laid over all before it.
const MAX_DOCUMENTS: usize = 100;
/// The deepest nesting, with every alias put in.
const MAX_DEPTH: usize = 200;

/// One YAML document.
#[derive(Debug, Clone, Default)]
pub(crate) struct Document {
    /// Its content.
    pub(crate) root: Node,
    /// The places marked `!reset` or `!override`: what earlier files say there is forgotten.
    pub(crate) resets: Vec<Vec<String>>,
}

/// Reads all documents of a text. What is wrong with it goes to `problems`.
pub(crate) fn parse(file: u32, text: &str, problems: &mut Problems) -> Vec<Document> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut arena = Arena { file, ..Arena::default() };
    if let Err((mark, message)) = arena.read(text) {
        problems.error(mark, &Path::ROOT, message);
        return Vec::new();
    }
    let roots = std::mem::take(&mut arena.roots);
    if let Some(root) = roots.get(MAX_DOCUMENTS) {
        let message = format!("more than {MAX_DOCUMENTS} documents in one file");
        problems.error(arena.nodes[*root].mark, &Path::ROOT, message);
        return Vec::new();
    }
    let mut documents = Vec::new();
    for root in roots {
        let mut builder = Builder { arena: &arena, left: MAX_NODES, resets: Vec::new(), problems };
        match builder.build(root, &Path::ROOT, 0) {
            Ok(node) => {
                documents.push(Document { root: node.unwrap_or_default(), resets: builder.resets });
            }
            Err(TooBig) => return Vec::new(),
        }
    }
    documents
}

/// A node as the parser tells it.
#[derive(Debug)]
struct Raw {
    kind: RawKind,
    tag: Option<String>,
    mark: Mark,
}

#[derive(Debug)]
enum RawKind {
    Scalar { text: String, plain: bool },
    List(Vec<usize>),
    Map(Vec<(usize, usize)>),
    Alias(usize),
}

#[derive(Debug, Default)]
struct Arena {
    file: u32,
    nodes: Vec<Raw>,
    anchors: HashMap<usize, usize>,
    roots: Vec<usize>,
}

/// A collection whose end has not come yet.
enum Open {
    List(usize, Vec<usize>),
    Map(usize, Vec<(usize, usize)>, Option<usize>),
}

impl Arena {
    fn read(&mut self, text: &str) -> Result<(), (Mark, String)> {
        let mut options = Options::default();
        options.set_emit_comments(false);
        let mut open: Vec<Open> = Vec::new();
        for event in Parser::new_from_str_with_options(text, options) {
            let (event, span) = event.map_err(|error| {
                let mark = self.mark(error.marker().line(), error.marker().col());
                (mark, format!("invalid YAML: {}", error.info()))
            })?;
            let mark = self.mark(span.start.line(), span.start.col());
            if self.nodes.len() >= MAX_NODES {
                return Err((mark, format!("more than {MAX_NODES} nodes in one file")));
            }
            let done = match event {
                Event::Scalar(text, style, anchor, tag) => {
                    let plain = matches!(style, ScalarStyle::Plain);
                    let kind = RawKind::Scalar { text: text.into_owned(), plain };
                    Some(self.add(kind, tag.as_deref(), mark, anchor))
                }
                Event::Alias(anchor) => {
                    let target = self.anchors.get(&anchor).copied();
                    let target =
                        target.filter(|target| !open.iter().any(|open| open.id() == *target));
                    let Some(target) = target else {
                        return Err((mark, "this alias stands inside what it means".to_owned()));
                    };
                    Some(self.add(RawKind::Alias(target), None, mark, 0))
                }
                Event::SequenceStart(_, anchor, tag) => {
                    let id = self.add(RawKind::List(Vec::new()), tag.as_deref(), mark, anchor);
                    open.push(Open::List(id, Vec::new()));
                    None
                }
                Event::MappingStart(_, anchor, tag) => {
                    let id = self.add(RawKind::Map(Vec::new()), tag.as_deref(), mark, anchor);
                    open.push(Open::Map(id, Vec::new(), None));
                    None
                }
                Event::SequenceEnd | Event::MappingEnd => open.pop().map(|open| self.close(open)),
                _ => None,
            };
            if let Some(id) = done {
                match open.last_mut() {
                    None => self.roots.push(id),
                    Some(Open::List(_, items)) => items.push(id),
                    Some(Open::Map(_, members, key)) => match key.take() {
                        Some(key) => members.push((key, id)),
                        None => *key = Some(id),
                    },
                }
            }
        }
        Ok(())
    }

    fn mark(&self, line: usize, column: usize) -> Mark {
        let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Mark { file: self.file, line: number(line), column: number(column.saturating_add(1)) }
    }

    fn add(&mut self, kind: RawKind, tag: Option<&Tag>, mark: Mark, anchor: usize) -> usize {
        let tag = tag.map(|tag| match tag.core_suffix() {
            Some(suffix) => format!("!!{suffix}"),
            None => tag.original(),
        });
        self.nodes.push(Raw { kind, tag, mark });
        let id = self.nodes.len() - 1;
        if anchor != 0 {
            self.anchors.insert(anchor, id);
        }
        id
    }

    /// A key's text, whether it is plain, and its place; `None` if it is no text.
    fn key(&self, id: usize) -> Option<(&str, bool, Mark)> {
        let raw = &self.nodes[id];
        match &raw.kind {
            RawKind::Scalar { text, plain } => {
                let is_text = !plain || matches!(resolve(text), Value::Text(_));
                is_text.then_some((text.as_str(), *plain, raw.mark))
            }
            RawKind::Alias(target) => {
                let (text, plain, _) = self.key(*target)?;
                Some((text, plain, raw.mark))
            }
            RawKind::List(_) | RawKind::Map(_) => None,
        }
    }

    fn close(&mut self, open: Open) -> usize {
        let (id, kind) = match open {
            Open::List(id, items) => (id, RawKind::List(items)),
            Open::Map(id, members, _) => (id, RawKind::Map(members)),
        };
        self.nodes[id].kind = kind;
        id
    }
}

impl Open {
    fn id(&self) -> usize {
        match self {
            Self::List(id, _) | Self::Map(id, ..) => *id,
        }
    }
}

/// A document beyond its budget; the problem has been told.
struct TooBig;

/// Makes the tree: aliases and merge keys put in, `!reset` taken out.
struct Builder<'a> {
    arena: &'a Arena,
    left: usize,
    resets: Vec<Vec<String>>,
    problems: &'a mut Problems,
}

impl Builder<'_> {
    /// The node, or `None` where `!reset` takes it away.
    fn build(&mut self, id: usize, path: &Path<'_>, depth: usize) -> Result<Option<Node>, TooBig> {
        let arena = self.arena;
        let raw = &arena.nodes[id];
        if self.left == 0 {
            let message = format!("more than {MAX_NODES} nodes when every alias is put in");
            self.problems.error(raw.mark, path, message);
            return Err(TooBig);
        }
        self.left -= 1;
        if depth > MAX_DEPTH {
            let message = format!("nested deeper than {MAX_DEPTH} levels");
            self.problems.error(raw.mark, path, message);
            return Err(TooBig);
        }
        match raw.tag.as_deref() {
            Some("!reset") => {
                self.resets.push(path.parts());
                return Ok(None);
            }
            Some("!override") => self.resets.push(path.parts()),
            _ => {}
        }
        let value = match &raw.kind {
            RawKind::Alias(target) => {
                let node = self.build(*target, path, depth + 1)?;
                return Ok(node);
            }
            RawKind::Scalar { text, plain } => self.scalar(raw, text, *plain, path),
            RawKind::List(items) => {
                let mut list = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    list.extend(self.build(*item, &path.item(index), depth + 1)?);
                }
                Value::List(list)
            }
            RawKind::Map(members) => Value::Map(self.map(members, path, depth)?),
        };
        Ok(Some(Node::new(value, raw.mark)))
    }

    fn scalar(&mut self, raw: &Raw, text: &str, plain: bool, path: &Path<'_>) -> Value {
        match raw.tag.as_deref() {
            None if plain => resolve(text),
            Some("!!null") => Value::Null,
            Some(tag @ ("!!bool" | "!!int" | "!!float")) => {
                let value = resolve(text);
                let value = match (tag, value) {
                    // As go-yaml does: `!!float 1` is a number like any other.
                    ("!!float", Value::Int(number)) => {
                        text.parse().map_or(Value::Int(number), Value::Float)
                    }
                    (_, value) => value,
                };
                let fits = match tag {
                    "!!bool" => matches!(value, Value::Bool(_)),
                    "!!int" => matches!(value, Value::Int(_)),
                    _ => matches!(value, Value::Float(_)),
                };
                if !fits {
                    self.problems.error(raw.mark, path, format!("cannot read {text:?} as {tag}"));
                }
                value
            }
            _ => Value::Text(text.to_owned()),
        }
    }

    fn map(
        &mut self,
        members: &[(usize, usize)],
        path: &Path<'_>,
        depth: usize,
    ) -> Result<Map, TooBig> {
        let mut map = Map::new();
        let mut first: BTreeMap<&str, Mark> = BTreeMap::new();
        let mut merged = Vec::new();
        let arena = self.arena;
        for (key, value) in members {
            let Some((name, plain, mark)) = arena.key(*key) else {
                self.bad_key(*key, path);
                continue;
            };
            if let Some(first) = first.insert(name, mark) {
                let message = format!("mapping key {name:?} already defined");
                self.problems.error(mark, path, message).related(first, "first defined here");
                continue;
            }
            let tag = arena.nodes[*key].tag.as_deref();
            if name == "<<" && ((plain && tag.is_none()) || tag == Some("!!merge")) {
                merged.push(*value);
                continue;
            }
            if let Some(mut node) = self.build(*value, &path.key(name), depth + 1)? {
                node.key = mark;
                map.insert(name.to_owned(), node);
            }
        }
        for id in merged {
            self.merge(id, &mut map, path, depth)?;
        }
        Ok(map)
    }

    /// Says that a key is not text.
    fn bad_key(&mut self, id: usize, path: &Path<'_>) {
        let raw = &self.arena.nodes[id];
        let what = match &raw.kind {
            RawKind::Scalar { text, .. } => format!("the key {text:?} is not text"),
            _ => "a key must be text".to_owned(),
        };
        self.problems.error(raw.mark, path, what).hint("put it in quotes");
    }

    /// `<<`: the members of another mapping, or of several, where this one has none of that name.
    fn merge(
        &mut self,
        id: usize,
        map: &mut Map,
        path: &Path<'_>,
        depth: usize,
    ) -> Result<(), TooBig> {
        let mark = self.arena.nodes[id].mark;
        let Some(node) = self.build(id, path, depth + 1)? else { return Ok(()) };
        let sources = match node.value {
            Value::List(list) => list,
            _ => vec![node],
        };
        for source in sources {
            let Value::Map(members) = source.value else {
                self.problems.error(mark, path, "`<<` takes a mapping or a list of mappings");
                continue;
            };
            for (key, node) in members {
                map.entry(key).or_insert(node);
            }
        }
        Ok(())
    }
}
