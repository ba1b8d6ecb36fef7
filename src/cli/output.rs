//! What goes to the user: standard output, and a word on standard error.

use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;

use super::args::{Ansi, InstanceArgs, ProgressKind};
use super::error::{CommandError, Outcome};
use super::format::Template;
use super::style::{Colour, Style};

/// How to speak to the user.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    /// Colours on standard output.
    pub(super) style: Style,
    /// Colours on standard error.
    pub(super) error_style: Style,
    /// How to show progress.
    pub(super) progress: ProgressKind,
}

impl Output {
    /// As the options and the terminal say.
    pub(super) fn new(args: &InstanceArgs) -> Self {
        let ansi = if args.no_color { Ansi::Never } else { args.ansi };
        let on = |terminal| match ansi {
            Ansi::Always => true,
            Ansi::Never => false,
            Ansi::Auto => terminal && colours_are_wanted(),
        };
        Self {
            style: Style(on(io::stdout().is_terminal())),
            error_style: Style(on(io::stderr().is_terminal())),
            progress: args.progress,
        }
    }

    /// The same without colours.
    pub(super) fn plain(self) -> Self {
        Self { style: Style(false), ..self }
    }

    /// The same without progress.
    pub(super) fn quiet(self) -> Self {
        Self { progress: ProgressKind::Quiet, ..self }
    }

    /// Prints a line.
    ///
    /// # Errors
    /// If nobody reads any more, the command ends without a word.
    pub(super) fn line(self, line: impl std::fmt::Display) -> Outcome {
        written(writeln!(io::stdout(), "{line}"))
    }

    /// Prints text that has its line ends.
    pub(super) fn text(self, text: &str) -> Outcome {
        written(io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()))
    }

    /// Prints bytes as they are.
    pub(super) fn bytes(self, bytes: &[u8]) -> Outcome {
        written(io::stdout().write_all(bytes).and_then(|()| io::stdout().flush()))
    }

    /// Prints a value as one line of JSON.
    pub(super) fn json(self, value: &impl Serialize) -> Outcome {
        let line = serde_json::to_string(value)
            .map_err(|error| CommandError::failed(format!("cannot write JSON: {error}")))?;
        self.line(line)
    }

    /// Prints a value as JSON for people.
    pub(super) fn pretty_json(self, value: &impl Serialize) -> Outcome {
        let text = serde_json::to_string_pretty(value)
            .map_err(|error| CommandError::failed(format!("cannot write JSON: {error}")))?;
        self.line(text)
    }

    /// Prints rows as a template of the user's says.
    pub(super) fn rows<T: Serialize>(
        self,
        template: &Template,
        rows: impl IntoIterator<Item = T>,
    ) -> Outcome {
        let rows: Result<Vec<_>, _> = rows.into_iter().map(serde_json::to_value).collect();
        let rows =
            rows.map_err(|error| CommandError::failed(format!("cannot write JSON: {error}")))?;
        self.text(&template.render(&rows).map_err(CommandError::bad_input)?)
    }

    /// Says something on standard error that is not part of the output.
    pub(super) fn note(self, note: impl std::fmt::Display) {
        // There is nobody left to tell.
        let _unheard = writeln!(io::stderr(), "{note}").is_err();
    }

    /// Warns on standard error.
    pub(super) fn warning(self, warning: impl std::fmt::Display) {
        self.note(format_args!("{} {warning}", self.error_style.paint(Colour::Yellow, "warning:")));
    }

    /// Says what is wrong; the command goes on to say more.
    pub(super) fn complaint(self, message: impl std::fmt::Display) {
        self.note(format_args!("{} {message}", self.error_style.paint(Colour::Red, "error:")));
    }

    /// Says why a command ends early.
    pub(super) fn error(self, error: &CommandError) {
        let Some(message) = &error.message else { return };
        self.complaint(message);
        if let Some(hint) = &error.hint {
            self.note(format_args!("{} {hint}", self.error_style.paint(Colour::Cyan, "hint:")));
        }
    }
}

/// <https://no-color.org>, and terminals that can do nothing.
fn colours_are_wanted() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

fn written(result: io::Result<()>) -> Outcome {
    match result {
        Ok(()) => Ok(()),
        // `orca logs | head` has all it wants.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(CommandError::silent(0)),
        Err(error) => Err(CommandError::io("cannot write to standard output", &error)),
    }
}
