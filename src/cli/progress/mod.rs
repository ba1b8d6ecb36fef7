//! Shows what happens while a command waits for it, to a stack or to images on their way: a live table
//! on a terminal, a line for each change elsewhere.

mod board;
mod live;
mod reading;
mod transfers;

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use super::args::ProgressKind;
use super::error::Outcome;
use super::output::Output;
use crate::model::StackStatus;

use self::board::Board;
use self::live::{FRAME, Live};
pub(super) use self::reading::Reading;
pub(super) use self::transfers::{Direction, Transfers};

/// What is shown while a command waits.
#[derive(Debug)]
pub(super) struct Progress {
    output: Output,
    board: Board,
    view: View,
}

#[derive(Debug)]
enum View {
    Quiet,
    Plain,
    /// Lines on standard error: standard output is somebody else's.
    Aside,
    Live(Live),
}

impl Progress {
    /// Begins with what was there before; only what changes from then on is news.
    pub(super) fn new(output: Output, before: Option<&StackStatus>) -> Self {
        Self { output, board: Board::new(before), view: view(output) }
    }

    /// The same in lines on standard error.
    pub(super) fn aside(output: Output, before: Option<&StackStatus>) -> Self {
        let quiet = output.progress == ProgressKind::Quiet;
        let view = if quiet { View::Quiet } else { View::Aside };
        Self { output, board: Board::new(before), view }
    }

    /// Shows how the stack is now; nothing of it is left when there is none.
    pub(super) fn show(&mut self, status: Option<&StackStatus>) -> Outcome {
        let news = self.board.update(status, Instant::now());
        match &mut self.view {
            View::Quiet => Ok(()),
            View::Plain => news.iter().try_for_each(|line| self.output.line(line)),
            View::Aside => {
                for line in news {
                    self.output.note(line);
                }
                Ok(())
            }
            View::Live(live) => live.draw_board(&self.board, self.output),
        }
    }

    /// How long until [`Progress::tick`] wants to be called; `None` if it need not be.
    pub(super) fn next_tick(&self) -> Option<Duration> {
        matches!(self.view, View::Live(_)).then_some(FRAME)
    }

    /// Turns the wheel.
    pub(super) fn tick(&mut self) -> Outcome {
        match &mut self.view {
            View::Live(live) => live.draw_board(&self.board, self.output),
            View::Quiet | View::Plain | View::Aside => Ok(()),
        }
    }
}

/// How progress is shown.
fn view(output: Output) -> View {
    let terminal = std::io::stdout().is_terminal();
    match output.progress {
        ProgressKind::Quiet => View::Quiet,
        ProgressKind::Tty => View::Live(Live::default()),
        ProgressKind::Auto if terminal && output.style.0 => View::Live(Live::default()),
        ProgressKind::Auto | ProgressKind::Plain => View::Plain,
    }
}
