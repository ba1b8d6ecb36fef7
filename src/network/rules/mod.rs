//! The packet filter's rules: what they should be (a value), and the transaction that brings the
//! kernel from one value to the next.
//!
//! One table of family `inet` per instance. Its base chains look only at the instance's own bridges
//! (told by the prefix of their names) and at its own published ports: several instances, docker and
//! the administrator's rules live beside it. Published ports are elements of verdict maps that lead
//! to a chain each, so a redeploy replaces one rule and nothing else.

mod chains;
mod expression;
mod rule_set;
mod transaction;

pub(super) use expression::{Expressions, Meta, R0, R1, verdict};
pub(super) use rule_set::{PublishedPort, RuleSet};
pub(super) use transaction::{Family, Hook, Kind, Transaction, count_elements, listing, table_of};

pub(super) use chains::set_names;

use chains::Chains;

/// The transaction that puts `wanted` in force whatever is there, and its fingerprint: a chain of
/// this name is there as long as it is.
pub(super) fn load(wanted: &RuleSet) -> (Transaction, String) {
    let mut transaction = Transaction::new(&wanted.table);
    transaction.add_table();
    transaction.remove_table();
    transaction.add_table();
    Chains(&mut transaction, wanted).write();
    let fingerprint = transaction.fingerprint();
    transaction.add_chain(&fingerprint, None);
    (transaction, fingerprint)
}

/// The transaction that brings a table where `old` is in force to `new`. What stays the same is not
/// touched: connections to a service do not notice that another one changes.
pub(super) fn change(old: &RuleSet, old_fingerprint: &str, new: &RuleSet) -> (Transaction, String) {
    let fingerprint = load(new).1;
    let mut transaction = Transaction::new(&new.table);
    transaction.add_table();
    Chains(&mut transaction, new).write_difference(old);
    if fingerprint != old_fingerprint {
        transaction.remove_chain(old_fingerprint);
        transaction.add_chain(&fingerprint, None);
    }
    (transaction, fingerprint)
}

/// The transaction that removes the table.
pub(super) fn unload(table: &str) -> Transaction {
    let mut transaction = Transaction::new(table);
    transaction.add_table();
    transaction.remove_table();
    transaction
}
