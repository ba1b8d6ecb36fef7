//! Images on their way: what there is to show of them.

use std::time::{Duration, Instant};

use super::board::Mood;
use super::{FRAME, View, view};
use crate::api::control::{ControlError, Transfer, TransferEvent, Transferred};
use crate::cli::error::Outcome;
use crate::cli::format;
use crate::cli::output::Output;
use crate::cli::style::{Colour, Style};
use crate::model::{Digest, Progress};

/// What is done with the images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// They come.
    Pull,
    /// They go.
    Push,
}

/// What is shown of images on their way.
#[derive(Debug)]
pub(crate) struct Transfers {
    output: Output,
    view: View,
    direction: Direction,
    images: Vec<Image>,
    /// Whether also images are told of that were there already.
    all: bool,
}

/// One image.
#[derive(Debug)]
struct Image {
    name: String,
    word: String,
    mood: Mood,
    layers: Vec<Layer>,
    since: Instant,
    took: Option<Duration>,
    /// Whether there is anything to tell.
    shown: bool,
}

/// One of its layers.
#[derive(Debug)]
struct Layer {
    digest: Digest,
    size: u64,
    done: u64,
    /// Whether it is where it is to be.
    whole: bool,
}

/// How many characters a bar has.
const BAR: usize = 24;

impl Transfers {
    /// Begins with the images of these names.
    pub(crate) fn new(output: Output, direction: Direction, names: Vec<String>, all: bool) -> Self {
        let image = |name: String| Image {
            name,
            word: direction.doing().to_owned(),
            mood: Mood::Busy,
            layers: Vec::new(),
            since: Instant::now(),
            took: None,
            shown: all,
        };
        let images = names.into_iter().map(image).collect();
        Self { output, view: view(output), direction, images, all }
    }

    /// Shows the latest news.
    pub(crate) fn show(&mut self, news: &Transfer) -> Outcome {
        let direction = self.direction;
        let at = usize::try_from(news.image).unwrap_or(usize::MAX);
        let Some(image) = self.images.get_mut(at) else { return Ok(()) };
        let line = match &news.event {
            TransferEvent::Progress(progress) => image.goes_on(progress, direction),
            TransferEvent::Transferred(done) => image.is_there(done, direction, self.all),
            TransferEvent::Failed(error) => Some(image.failed(error)),
        };
        match (&self.view, line) {
            (View::Plain, Some(line)) => self.output.line(line),
            _ => Ok(()),
        }
    }

    /// How long until [`Transfers::tick`] wants to be called; `None` if it need not be.
    pub(crate) fn next_tick(&self) -> Option<Duration> {
        matches!(self.view, View::Live(_)).then_some(FRAME)
    }

    /// Draws all of it anew, where it is drawn.
    pub(crate) fn tick(&mut self) -> Outcome {
        let images = &self.images;
        let output = self.output;
        match &mut self.view {
            View::Live(live) => live.draw(output, |style, width, height, spoke| {
                lines(images, style, width, height, spoke)
            }),
            View::Quiet | View::Plain | View::Aside => Ok(()),
        }
    }
}

impl Direction {
    fn doing(self) -> &'static str {
        match self {
            Self::Pull => "pulling",
            Self::Push => "pushing",
        }
    }

    fn done(self) -> &'static str {
        match self {
            Self::Pull => "pulled",
            Self::Push => "pushed",
        }
    }
}

impl Image {
    /// The line that is worth printing of it.
    fn goes_on(&mut self, progress: &Progress, direction: Direction) -> Option<String> {
        self.shown = true;
        match progress {
            Progress::Layers(layers) => {
                let layer = |(digest, size): &(Digest, u64)| Layer {
                    digest: digest.clone(),
                    size: *size,
                    done: 0,
                    whole: false,
                };
                self.layers = layers.iter().map(layer).collect();
                let bytes = layers.iter().map(|(_, size)| size).sum();
                let (doing, count) = (direction.doing(), layers.len());
                let layers = if count == 1 { "layer" } else { "layers" };
                let size = format::decimal(bytes);
                Some(format!("{}  {doing}: {count} {layers}, {size}", self.name))
            }
            Progress::Moved { layer, done } => {
                let layer = self.layers.iter_mut().find(|known| known.digest == *layer)?;
                layer.done = *done;
                direction.doing().clone_into(&mut self.word);
                None
            }
            Progress::Exists(layer) => self.whole(layer, "exists"),
            Progress::Done(layer) => self.whole(layer, direction.done()),
            Progress::Retry { reason, wait } => {
                self.word = format!("trying again in {:.1}s: {reason}", wait.as_secs_f64());
                Some(format!("{}  {}", self.name, self.word))
            }
        }
    }

    fn whole(&mut self, digest: &Digest, word: &str) -> Option<String> {
        let layer = self.layers.iter_mut().find(|known| known.digest == *digest)?;
        (layer.done, layer.whole) = (layer.size, true);
        Some(format!("{}  {}  {word}", self.name, short(digest)))
    }

    fn is_there(&mut self, done: &Transferred, direction: Direction, all: bool) -> Option<String> {
        self.took = Some(self.since.elapsed());
        self.mood = Mood::Good;
        self.layers.clear();
        self.word = match done.moved {
            true => direction.done().to_owned(),
            false => "is up to date".to_owned(),
        };
        self.shown = all || done.moved;
        self.shown.then(|| format!("{}  {}", self.name, self.word))
    }

    fn failed(&mut self, error: &ControlError) -> String {
        self.took = Some(self.since.elapsed());
        self.mood = Mood::Bad;
        self.shown = true;
        self.layers.clear();
        self.word = format!("failed: {}", error.message);
        // What is wrong is told at the end, for all images.
        format!("{}  failed", self.name)
    }

    /// How much of it has moved.
    fn sum(&self) -> Option<String> {
        let busy = self.mood == Mood::Busy && !self.layers.is_empty();
        let done = self.layers.iter().map(|layer| layer.done).sum();
        let all = self.layers.iter().map(|layer| layer.size).sum();
        busy.then(|| format!("{} / {}", format::decimal(done), format::decimal(all)))
    }
}

/// The lines of the table, no wider and no higher than the terminal: one for each image, and below
/// one for each layer that moves, as far as there is room.
fn lines(images: &[Image], style: Style, width: usize, height: usize, spoke: char) -> Vec<String> {
    let shown: Vec<_> = images.iter().filter(|image| image.shown).collect();
    let room = height.saturating_sub(2).max(1);
    let mut room_for_layers = room.saturating_sub(shown.len());
    let mut lines = Vec::new();
    for image in shown {
        lines.push(heading(image, style, width, spoke));
        let moving = image.layers.iter().filter(|layer| !layer.whole && layer.done > 0);
        for layer in moving.take(room_for_layers) {
            lines.push(format::shortened(&bar(layer), width));
            room_for_layers -= 1;
        }
    }
    lines.truncate(room);
    lines
}

fn heading(image: &Image, style: Style, width: usize, spoke: char) -> String {
    let (sign, colour) = match image.mood {
        Mood::Good => ('✔', Colour::Green),
        Mood::Bad => ('✘', Colour::Red),
        Mood::Busy => (spoke, Colour::Yellow),
    };
    let time = image.took.unwrap_or_else(|| image.since.elapsed());
    let time = format!("{:.1}s", time.as_secs_f64());
    let word = [Some(image.word.replace(['\n', '\r'], " ")), image.sum()];
    let word = word.into_iter().flatten().collect::<Vec<_>>().join("  ");
    let name = format::shortened(&image.name, width.saturating_sub(4).max(1));
    // A blank, the sign, a blank, the name, two blanks, the word, two blanks, the time.
    let taken = 7 + name.chars().count() + time.chars().count();
    let word = format::shortened(&word, width.saturating_sub(taken).max(1));
    format!(
        " {} {name}  {}  {}",
        style.paint(colour, sign),
        style.paint(colour, word),
        style.paint(Colour::Dim, time)
    )
}

/// `   0123456789ab [=====>        ]  12.3MB / 45.6MB`
fn bar(layer: &Layer) -> String {
    format!("   {} {}", short(&layer.digest), gauge(layer.done, layer.size))
}

/// `[=====>        ]  12.3MB / 45.6MB`
pub(super) fn gauge(done: u64, size: u64) -> String {
    let parts = done.saturating_mul(BAR as u64).checked_div(size).unwrap_or(0);
    let full = usize::try_from(parts).unwrap_or(BAR).min(BAR);
    let bar = match full {
        BAR => "=".repeat(BAR),
        full => format!("{}>{}", "=".repeat(full), " ".repeat(BAR - full - 1)),
    };
    format!("[{bar}]  {} / {}", format::decimal(done), format::decimal(size))
}

fn short(digest: &Digest) -> &str {
    &digest.hex()[..12]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(digit: char) -> Digest {
        Digest::sha256(&digit.to_string().repeat(64)).unwrap()
    }

    fn image() -> Image {
        let output = crate::cli::tests_support::output();
        let mut transfers =
            Transfers::new(output, Direction::Pull, vec!["nginx:1".to_owned()], false);
        transfers.images.remove(0)
    }

    #[test]
    fn lines_tell_what_is_worth_a_line() {
        let mut image = image();
        let layers = vec![(digest('a'), 1000), (digest('b'), 3000)];
        let mut say = |progress| image.goes_on(&progress, Direction::Pull);
        assert_eq!(say(Progress::Layers(layers)).unwrap(), "nginx:1  pulling: 2 layers, 4.00kB");
        assert_eq!(say(Progress::Moved { layer: digest('a'), done: 10 }), None);
        assert_eq!(say(Progress::Done(digest('a'))).unwrap(), "nginx:1  aaaaaaaaaaaa  pulled");
        assert_eq!(say(Progress::Exists(digest('b'))).unwrap(), "nginx:1  bbbbbbbbbbbb  exists");
        let done = Transferred { moved: true, ..Transferred::default() };
        assert_eq!(image.is_there(&done, Direction::Pull, false).unwrap(), "nginx:1  pulled");
        let same = Transferred::default();
        assert_eq!(image.is_there(&same, Direction::Pull, false), None);
        assert_eq!(image.is_there(&same, Direction::Pull, true).unwrap(), "nginx:1  is up to date");
    }

    #[test]
    fn a_table_shows_bars_and_fits() {
        let mut image = image();
        let layers = vec![(digest('a'), 1000), (digest('b'), 3000)];
        image.goes_on(&Progress::Layers(layers), Direction::Pull);
        image.goes_on(&Progress::Moved { layer: digest('a'), done: 500 }, Direction::Pull);
        image.took = Some(Duration::from_secs(1));
        let drawn = lines(&[image], Style(false), 80, 24, '*');
        assert_eq!(
            drawn,
            [
                " * nginx:1  pulling  500B / 4.00kB  1.0s",
                "   aaaaaaaaaaaa [============>           ]  500B / 1.00kB"
            ]
        );
        let mut failed = self::image();
        failed.failed(&ControlError::not_found("x".repeat(100)));
        for (width, height) in [(40, 3), (10, 1), (1, 0)] {
            let drawn = lines(&[failed, self::image()], Style(false), width, height, '*');
            assert!(drawn.len() <= height.saturating_sub(2).max(1));
            assert!(width < 20 || drawn.iter().all(|line| line.chars().count() <= width));
            failed = self::image();
            failed.failed(&ControlError::not_found("y"));
        }
    }

    #[test]
    fn news_of_what_is_not_there_is_passed_over() {
        let output = crate::cli::tests_support::output().quiet();
        let mut transfers = Transfers::new(output, Direction::Push, Vec::new(), true);
        let event = TransferEvent::Transferred(Transferred::default());
        transfers.show(&Transfer { image: 7, event }).unwrap();
        transfers.tick().unwrap();
    }
}
