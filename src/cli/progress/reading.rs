//! A file that is read: how far it is.

use std::fs::File;
use std::io::Seek as _;
use std::path::Path;
use std::time::Instant;

use super::live::FRAME;
use super::transfers::gauge;
use super::{View, view};
use crate::cli::error::Outcome;
use crate::cli::format;
use crate::cli::output::Output;
use crate::cli::style::{Colour, Style};

/// What is shown of a file that somebody else reads through the same open file.
#[derive(Debug)]
pub(crate) struct Reading<'a> {
    output: Output,
    view: View,
    name: String,
    file: &'a File,
    size: u64,
    since: Instant,
}

impl<'a> Reading<'a> {
    /// Begins with `file`, which is at `path`.
    pub(crate) fn new(output: Output, path: &Path, file: &'a File) -> Self {
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let size = file.metadata().map_or(0, |meta| meta.len());
        Self { output, view: view(output), name, file, size, since: Instant::now() }
    }

    /// Waits for `work`, and shows how far it is.
    ///
    /// # Errors
    /// If nothing can be shown.
    pub(crate) async fn during<T>(&mut self, work: impl Future<Output = T>) -> Outcome<T> {
        let mut work = std::pin::pin!(work);
        loop {
            if let Ok(done) = tokio::time::timeout(FRAME, &mut work).await {
                self.clear()?;
                return Ok(done);
            }
            self.draw()?;
        }
    }

    fn draw(&mut self) -> Outcome {
        let (mut file, output) = (self.file, self.output);
        let View::Live(live) = &mut self.view else { return Ok(()) };
        let done = file.stream_position().unwrap_or(0);
        let seconds = self.since.elapsed().as_secs_f64();
        let (name, size) = (&self.name, self.size);
        live.draw(output, |style, width, _, spoke| {
            vec![line(style, width, spoke, name, (done, size), seconds)]
        })
    }

    /// What it was is told by what follows.
    fn clear(&mut self) -> Outcome {
        let output = self.output;
        let View::Live(live) = &mut self.view else { return Ok(()) };
        live.draw(output, |_, _, _, _| Vec::new())
    }
}

/// ` ⠙ app.tar  [=====>        ]  12.3MB / 45.6MB  1.2s`
fn line(
    style: Style,
    width: usize,
    spoke: char,
    name: &str,
    (done, size): (u64, u64),
    seconds: f64,
) -> String {
    let name =
        format::shortened(&name.replace(['\n', '\r'], " "), width.saturating_sub(60).max(12));
    let rest = format!("{name}  {}  {seconds:.1}s", gauge(done, size));
    let rest = format::shortened(&rest, width.saturating_sub(3).max(1));
    format!(" {} {rest}", style.paint(Colour::Yellow, spoke))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_fits() {
        let drawn = line(Style(false), 80, '*', "app.tar", (500, 1000), 1.0);
        assert_eq!(drawn, " * app.tar  [============>           ]  500B / 1.00kB  1.0s");
        let long = "x".repeat(200);
        for width in [1, 20, 60, 80, 200] {
            let drawn = line(Style(false), width, '*', &long, (1000, 1000), 100.0);
            assert!(drawn.chars().count() <= width.max(4), "{width}: {drawn}");
        }
    }
}
