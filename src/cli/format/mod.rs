//! How things look: small pure functions from values to text.

mod duration;
mod parse;
mod ports;
mod size;
mod state;
mod table;
mod template;
mod time;

pub(super) use duration::{ago, human};
pub(super) use parse::{duration, moment};
pub(super) use ports::{Publisher, ports, publishers};
pub(super) use size::{binary, decimal};
pub(super) use state::{docker_state, phase, status};
pub(super) use table::table;
pub(super) use template::{Layout, Template, layout};
pub(super) use time::{local, rfc3339};

/// `text` in at most `width` characters, `…` at the end if some are left out.
pub(super) fn shortened(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{kept}…")
}

#[cfg(test)]
mod tests;
