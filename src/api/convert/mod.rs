//! Between protobuf and plain values. What arrives may be anything: turning it into a value checks
//! it; numbers of enums that a newer peer knows become the first of theirs.

mod error;
mod image;
mod project;
mod registry;
mod session;
mod stack;
mod system;
mod volume;
mod workload;

use std::time::Duration;

pub(super) use error::{error_of, status_of};
pub(super) use workload::{log_request, target_of};

use crate::model::Timestamp;

/// A message that says something impossible.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct BadMessage {
    /// Which field.
    field: &'static str,
    /// What is wrong with it.
    problem: String,
}

impl BadMessage {
    /// `field` is not there.
    pub(crate) fn missing(field: &'static str) -> Self {
        Self { field, problem: "is missing".to_owned() }
    }
}

/// `text` as a value, or which field was wrong.
fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(
    field: &'static str,
    text: &str,
) -> Result<T, BadMessage> {
    text.parse().map_err(|error: T::Err| BadMessage { field, problem: error.to_string() })
}

/// `number` as a smaller number, or which field was wrong.
fn narrow<T: TryFrom<u32>>(field: &'static str, number: u32) -> Result<T, BadMessage> {
    let problem = || BadMessage { field, problem: format!("{number} is too large") };
    T::try_from(number).map_err(|_| problem())
}

/// A length of time in nanoseconds; five hundred years at most.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A point in time in nanoseconds since the epoch.
pub(super) fn time_nanos(time: Timestamp) -> u64 {
    nanos(time.0)
}

/// Back from [`time_nanos`].
pub(super) fn time(nanos: u64) -> Timestamp {
    Timestamp(Duration::from_nanos(nanos))
}

/// A list of values from a list of messages.
pub(super) fn all<M, T: TryFrom<M>>(messages: Vec<M>) -> Result<Vec<T>, T::Error> {
    messages.into_iter().map(T::try_from).collect()
}

/// A list of messages from a list of values.
pub(super) fn each<T, M: From<T>>(values: Vec<T>) -> Vec<M> {
    values.into_iter().map(M::from).collect()
}

#[cfg(test)]
mod tests;
