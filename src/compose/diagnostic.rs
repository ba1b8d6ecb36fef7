//! What is wrong or noteworthy, with its place: `stack.yaml:12:5: services.web: message`.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use super::tree::{Mark, Path};

/// The most problems that are told at once.
const MAX_PROBLEMS: usize = 100;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The files cannot be used.
    Error,
    /// They can, but not quite as they read.
    Warning,
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The file as it was named; `-` is standard input.
    pub file: String,
    /// From 1; 0 means the file as a whole.
    pub line: u32,
    /// From 1, in characters; 0 means the file as a whole.
    pub column: u32,
    /// The line's text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// Another place that a diagnostic speaks of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Related {
    /// Where.
    pub place: Place,
    /// What is there.
    pub message: String,
}

/// One thing that is wrong or noteworthy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Where it is; `None` when it is about no file.
    pub place: Option<Place>,
    /// The place inside the document, such as `services.web.ports[1]`; may be empty.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// A second place, such as the first of two equal keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub related: Option<Related>,
}

/// Everything that is wrong with a set of files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(transparent)]
pub struct Errors(pub Vec<Diagnostic>);

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{diagnostic}")?;
        }
        Ok(())
    }
}

impl Diagnostic {
    /// The first line of what [`Display`](fmt::Display) writes: place, path and message.
    pub fn headline(&self) -> String {
        let mut line = String::new();
        if let Some(place) = &self.place {
            line.push_str(&place.to_string());
            line.push_str(": ");
        }
        if !self.path.is_empty() {
            line.push_str(&self.path);
            line.push_str(": ");
        }
        line.push_str(&self.message);
        line
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        Ok(())
    }
}

impl Place {
    /// The line with a caret under the column.
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(text) = &self.text else { return Ok(()) };
        let number = self.line.to_string();
        let before: String = text
            .chars()
            .take(self.column.saturating_sub(1) as usize)
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        write!(f, "\n {number} | {text}\n {:width$} | {before}^", "", width = number.len())
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.headline())?;
        if let Some(place) = &self.place {
            place.show(f)?;
        }
        if let Some(related) = &self.related {
            write!(f, "\n {}: {}", related.place, related.message)?;
            related.place.show(f)?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n hint: {hint}")?;
        }
        Ok(())
    }
}

/// The files that were read, so that places can be shown.
#[derive(Debug, Default)]
pub(crate) struct Sources(Vec<Source>);

#[derive(Debug)]
struct Source {
    name: String,
    text: String,
    /// Where each line starts.
    lines: Vec<usize>,
}

impl Sources {
    /// Remembers a file; the number goes into its marks.
    pub(crate) fn add(&mut self, name: String, text: String) -> u32 {
        let mark = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let lines = std::iter::once(mark).chain(ends.map(|(at, _)| at + 1)).collect();
        self.0.push(Source { name, text, lines });
        u32::try_from(self.0.len() - 1).unwrap_or(u32::MAX)
    }

    /// The rest of the line at a place.
    pub(crate) fn rest_of_line(&self, mark: Mark) -> Option<&str> {
        let line = self.line(mark)?;
        let at = line.char_indices().nth(mark.column.checked_sub(1)? as usize)?.0;
        line.get(at..)
    }

    fn line(&self, mark: Mark) -> Option<&str> {
        let source = self.0.get(mark.file as usize)?;
        let start = *source.lines.get(mark.line.checked_sub(1)? as usize)?;
        source.text.get(start..)?.lines().next()
    }

    /// A place without its line's text, of which there are many.
    pub(crate) fn bare_place(&self, mark: Mark) -> Option<Place> {
        let source = self.0.get(mark.file as usize)?;
        let (line, column) = (mark.line, mark.column);
        Some(Place { file: source.name.clone(), line, column, text: None })
    }

    /// A place for people.
    pub(crate) fn place(&self, mark: Mark) -> Option<Place> {
        let source = self.0.get(mark.file as usize)?;
        let text = self.line(mark).map(|line| line.chars().take(200).collect());
        let (line, column) = (mark.line, mark.column);
        Some(Place { file: source.name.clone(), line, column, text })
    }
}

/// One thing that is wrong, before its file is looked up.
#[derive(Debug)]
pub(crate) struct Problem {
    severity: Severity,
    mark: Option<Mark>,
    path: String,
    message: String,
    hint: Option<String>,
    related: Option<(Mark, String)>,
}

impl Problem {
    /// Adds what to do.
    pub(crate) fn hint(&mut self, hint: impl Into<String>) -> &mut Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds a second place.
    pub(crate) fn related(&mut self, mark: Mark, message: impl Into<String>) -> &mut Self {
        self.related = Some((mark, message.into()));
        self
    }
}

/// What has been found so far.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    found: Vec<Problem>,
    errors: usize,
    /// How many of each are among those found.
    told_errors: usize,
    told_warnings: usize,
    left_out: usize,
    /// What is written to when there is no place for one more.
    spare: Option<Problem>,
}

/// A step could not go on; the reasons are among the problems.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Failed;

impl Problems {
    /// Something wrong at a place.
    pub(crate) fn error(
        &mut self,
        mark: Mark,
        path: &Path<'_>,
        message: impl Into<String>,
    ) -> &mut Problem {
        self.errors += 1;
        self.push(Severity::Error, Some(mark), path, message.into())
    }

    /// Something wrong that is in no file.
    pub(crate) fn error_nowhere(&mut self, message: impl Into<String>) -> &mut Problem {
        self.errors += 1;
        self.push(Severity::Error, None, &Path::ROOT, message.into())
    }

    /// Something noteworthy at a place.
    pub(crate) fn warning(
        &mut self,
        mark: Mark,
        path: &Path<'_>,
        message: impl Into<String>,
    ) -> &mut Problem {
        self.push(Severity::Warning, Some(mark), path, message.into())
    }

    /// Something noteworthy that is in no file.
    pub(crate) fn warning_nowhere(&mut self, message: impl Into<String>) -> &mut Problem {
        self.push(Severity::Warning, None, &Path::ROOT, message.into())
    }

    /// Takes in the errors of a later step, but for those at places of which something is told already:
    /// they would be about the same thing.
    pub(crate) fn add_elsewhere(&mut self, more: Self) {
        let told: BTreeSet<Option<Mark>> = self.found.iter().map(|problem| problem.mark).collect();
        let is_error = |problem: &Problem| problem.severity == Severity::Error;
        for problem in more.found {
            if !is_error(&problem) || told.contains(&problem.mark) {
                continue;
            }
            self.errors += 1;
            if self.told_errors == MAX_PROBLEMS {
                self.left_out += 1;
            } else {
                self.told_errors += 1;
                self.found.push(problem);
            }
        }
        self.left_out += more.left_out;
    }

    /// Ends a step: an error if anything has been found wrong.
    pub(crate) fn check(&self) -> Result<(), Failed> {
        if self.errors > 0 { Err(Failed) } else { Ok(()) }
    }

    fn push(
        &mut self,
        severity: Severity,
        mark: Option<Mark>,
        path: &Path<'_>,
        message: String,
    ) -> &mut Problem {
        let known = self.found.iter().position(|problem| {
            problem.mark == mark && problem.severity == severity && problem.message == message
        });
        if let Some(known) = known {
            return &mut self.found[known];
        }
        let mut problem =
            Problem { severity, mark, path: String::new(), message, hint: None, related: None };
        // Bounded work for hostile files: past the limit they are counted only. Each severity has
        // a limit of its own: many warnings must not hide the first error.
        let is_error = severity == Severity::Error;
        let told = if is_error { &mut self.told_errors } else { &mut self.told_warnings };
        if *told == MAX_PROBLEMS {
            self.left_out += usize::from(is_error);
            return self.spare.insert(problem);
        }
        *told += 1;
        problem.path = path.to_string();
        self.found.push(problem);
        let last = self.found.len() - 1;
        &mut self.found[last]
    }

    /// All of one severity, in the order of the files.
    pub(crate) fn diagnostics(&self, severity: Severity, sources: &Sources) -> Vec<Diagnostic> {
        let mut found: Vec<&Problem> =
            self.found.iter().filter(|problem| problem.severity == severity).collect();
        found.sort_by_key(|problem| problem.mark);
        let mut diagnostics: Vec<Diagnostic> = found
            .into_iter()
            .map(|problem| Diagnostic {
                severity,
                place: problem.mark.and_then(|mark| sources.place(mark)),
                path: problem.path.clone(),
                message: problem.message.clone(),
                hint: problem.hint.clone(),
                related: problem.related.as_ref().and_then(|(mark, message)| {
                    let place = sources.place(*mark)?;
                    Some(Related { place, message: message.clone() })
                }),
            })
            .collect();
        if severity == Severity::Error && self.left_out > 0 {
            diagnostics.push(Diagnostic {
                severity,
                place: None,
                path: String::new(),
                message: format!("and {} more", self.left_out),
                hint: None,
                related: None,
            });
        }
        diagnostics
    }

    /// Whether further errors would be left out.
    pub(crate) fn is_full(&self) -> bool {
        self.told_errors == MAX_PROBLEMS
    }
}
