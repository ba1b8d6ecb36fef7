//! The netlink protocol: messages written into a buffer, answers read as attributes.
//!
//! One small codec serves links, rules and connections alike: a whole sandbox or a whole rule set is
//! one `sendmsg`, which the crates' one-request handles do not offer, and nf_tables expressions that
//! they do not know (nat, fib, numgen, reject) need no detour.

mod attributes;
mod batch;
mod connection;

pub(super) use attributes::{Attributes, be32, ne32, text};
pub(super) use batch::{APPEND, Batch, CREATE, DUMP, EXCLUSIVE, Message, NO_ACKNOWLEDGE, REPLACE};
pub(super) use connection::{Answer, Connection, answers, error_number};

#[cfg(test)]
mod tests;
