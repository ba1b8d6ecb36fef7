//! A table that is drawn again in its place.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::board::{Board, Mood, Row};
use crate::cli::error::Outcome;
use crate::cli::output::Output;
use crate::cli::style::{Colour, Style};
use crate::cli::{format, terminal};

/// The time between two drawings while nothing happens.
pub(super) const FRAME: Duration = Duration::from_millis(100);

const WHEEL: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];

/// The table on the screen.
#[derive(Debug, Default)]
pub(super) struct Live {
    /// How many lines it has.
    lines: usize,
    /// Which spoke of the wheel is up.
    spoke: usize,
}

impl Live {
    /// Draws the board over what was drawn before.
    pub(super) fn draw_board(&mut self, board: &Board, output: Output) -> Outcome {
        self.draw(output, |style, width, height, spoke| lines(board, style, width, height, spoke))
    }

    /// Draws the lines that fit the terminal over what was drawn before.
    pub(super) fn draw(
        &mut self,
        output: Output,
        lines: impl FnOnce(Style, usize, usize, char) -> Vec<String>,
    ) -> Outcome {
        let size = terminal::size(std::io::stdout()).unwrap_or_default();
        let width = if size.columns == 0 { 80 } else { usize::from(size.columns) };
        let height = if size.rows == 0 { 24 } else { usize::from(size.rows) };
        self.spoke = (self.spoke + 1) % WHEEL.len();
        let lines = lines(output.style, width, height, WHEEL[self.spoke]);
        let mut text = String::new();
        if self.lines > 0 {
            // Up to the first line, and clear from there to the end of the screen.
            let _infallible = write!(text, "\x1b[{}A\x1b[J", self.lines);
        }
        for line in &lines {
            text.push_str(line);
            text.push('\n');
        }
        self.lines = lines.len();
        output.text(&text)
    }
}

/// The lines of the table, no wider and no higher than the terminal: where there are too many, those
/// that are as they are to be are only counted.
pub(super) fn lines(
    board: &Board,
    style: Style,
    width: usize,
    height: usize,
    spoke: char,
) -> Vec<String> {
    let rows = board.rows();
    let room = height.saturating_sub(2).max(1);
    let shown: Vec<_> = if rows.len() <= room {
        rows.clone()
    } else {
        let busy = rows.iter().filter(|row| row.mood != Mood::Good);
        busy.take(room - 1).copied().collect()
    };
    let name_width = shown.iter().map(|row| row.name.chars().count()).max().unwrap_or(0);
    let word_width = shown.iter().map(|row| row.word.chars().count()).max().unwrap_or(0);
    let columns = Columns { all: width, name: name_width, word: word_width };
    let mut lines: Vec<_> = shown.iter().map(|row| line(row, style, columns, spoke)).collect();
    if shown.len() < rows.len() {
        let good = rows.iter().filter(|row| row.mood == Mood::Good).count();
        lines.push(format!(" {good} of {} are ready", rows.len()));
    }
    lines
}

/// How wide the table and its columns are.
#[derive(Debug, Clone, Copy)]
struct Columns {
    all: usize,
    name: usize,
    word: usize,
}

fn line(row: &Row, style: Style, columns: Columns, spoke: char) -> String {
    let (sign, colour) = match row.mood {
        Mood::Good => ('✔', Colour::Green),
        Mood::Bad => ('✘', Colour::Red),
        Mood::Busy => (spoke, Colour::Yellow),
    };
    let time = row.elapsed(Instant::now()).map(|time| format!("{:.1}s", time.as_secs_f64()));
    let time = time.unwrap_or_default();
    // A blank, the sign, a blank, the name, two blanks, the word, two blanks, the time.
    let taken = 7 + columns.name + time.chars().count();
    let room = columns.all.saturating_sub(taken).max(1);
    let name = format::shortened(&row.name, columns.all.saturating_sub(4).max(1));
    let word = format::shortened(&row.word.replace(['\n', '\r'], " "), room);
    let (name_width, word_width) = (columns.name, columns.word.min(room));
    format!(
        " {} {name:name_width$}  {}  {}",
        style.paint(colour, sign),
        style.paint(colour, format_args!("{word:word_width$}")),
        style.paint(Colour::Dim, time)
    )
}
