//! A transaction of nf_tables: tables, chains, sets, elements and rules, put in force together.

use sha2::{Digest as _, Sha256};

use super::expression::{Expressions, write_verdict};
use crate::model::hex;
use crate::network::netlink::{APPEND, Answer, Batch, CREATE, DUMP, Message, NO_ACKNOWLEDGE};

/// The kinds of messages, without the subsystem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::network) enum Kind {
    NewTable = 0,
    DeleteTable = 2,
    NewChain = 3,
    GetChain = 4,
    DeleteChain = 5,
    NewRule = 6,
    GetRule = 7,
    DeleteRule = 8,
    NewSet = 9,
    NewElements = 12,
    GetElements = 13,
    DeleteElements = 14,
}

/// Whose packets a table sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::network) enum Family {
    /// IPv4 and IPv6.
    Inet = 1,
    /// IPv4.
    Ipv4 = 2,
    /// IPv6.
    Ipv6 = 10,
}

/// Where a base chain sees packets.
#[derive(Debug, Clone, Copy)]
pub(in crate::network) struct Hook {
    /// `filter` or `nat`.
    pub(in crate::network) kind: &'static str,
    /// 0 prerouting, 1 input, 2 forward, 3 output, 4 postrouting.
    pub(in crate::network) place: u32,
    /// Smaller comes first.
    pub(in crate::network) priority: i32,
}

/// A set or map with a name.
#[derive(Debug, Clone, Copy)]
pub(in crate::network) struct Set<'a> {
    pub(in crate::network) name: &'a str,
    /// The fields of a key: the type as nft numbers it, and the length in bytes.
    pub(in crate::network) fields: &'a [(u32, u32)],
    /// Whether its elements lead to chains.
    pub(in crate::network) verdicts: bool,
    /// Whether its keys are ranges.
    pub(in crate::network) ranges: bool,
}

/// An element of a set or map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::network) struct Element {
    pub(in crate::network) key: Vec<u8>,
    /// The last key of a range.
    pub(in crate::network) last: Option<Vec<u8>>,
    pub(in crate::network) data: Data,
}

/// What a map has for a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::network) enum Data {
    None,
    Value(Vec<u8>),
    Verdict(i32, String),
}

const SUBSYSTEM: u16 = 10;
/// The policy of a chain that lets pass what no rule is about.
const ACCEPT: u32 = 1;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
/// An attribute holds 64 KiB, and an element some 60 bytes.
const ELEMENTS_IN_A_MESSAGE: usize = 400;

const SET_ANONYMOUS: u32 = 1;
const SET_CONSTANT: u32 = 2;
const SET_INTERVAL: u32 = 4;
const SET_MAP: u32 = 8;
const SET_CONCATENATION: u32 = 0x80;
const TYPE_VERDICT: u32 = 0xffff_ff00;
/// Name of a map that the kernel numbers.
const ANONYMOUS_MAP: &str = "__map%d";

/// A transaction on one table, as it is written.
#[derive(Debug)]
pub(in crate::network) struct Transaction {
    batch: Batch,
    table: String,
    family: Family,
    sets: u32,
    rules: usize,
    elements: usize,
}

impl Transaction {
    /// An empty one, on a table of family `inet`.
    pub(in crate::network) fn new(table: &str) -> Self {
        Self::of_family(table, Family::Inet)
    }

    /// An empty one.
    pub(in crate::network) fn of_family(table: &str, family: Family) -> Self {
        let mut batch = Batch::new();
        batch.message(BATCH_BEGIN, NO_ACKNOWLEDGE, |m| m.header(&[0, 0, 0, 10]));
        Self { batch, table: table.to_owned(), family, sets: 0, rules: 0, elements: 0 }
    }

    /// The messages, ready to be sent.
    pub(in crate::network) fn finish(mut self) -> Batch {
        self.batch.message(BATCH_END, NO_ACKNOWLEDGE, |m| m.header(&[0, 0, 0, 10]));
        self.batch
    }

    /// Whether it changes nothing.
    pub(in crate::network) fn is_empty(&self) -> bool {
        self.batch.len() == 1
    }

    /// How many rules it adds.
    pub(in crate::network) fn rules(&self) -> usize {
        self.rules
    }

    /// A name for the state that the transaction brings about.
    pub(in crate::network) fn fingerprint(&self) -> String {
        format!("state-{}", hex(&Sha256::digest(self.batch.bytes())[..8]))
    }

    /// How many elements it adds to sets with a name.
    pub(in crate::network) fn elements_added(&self) -> usize {
        self.elements
    }

    pub(in crate::network) fn add_table(&mut self) {
        self.write(Kind::NewTable, CREATE, |m, table| m.text(1, table));
    }

    pub(in crate::network) fn remove_table(&mut self) {
        self.write(Kind::DeleteTable, 0, |m, table| m.text(1, table));
    }

    pub(in crate::network) fn add_chain(&mut self, name: &str, hook: Option<Hook>) {
        self.add_chain_with_policy(name, hook, ACCEPT);
    }

    /// A base chain as others have it, which lets nothing pass.
    #[cfg(test)]
    pub(in crate::network) fn add_dropping_chain(&mut self, name: &str, hook: Hook) {
        self.add_chain_with_policy(name, Some(hook), 0);
    }

    fn add_chain_with_policy(&mut self, name: &str, hook: Option<Hook>, policy: u32) {
        self.write(Kind::NewChain, CREATE, |m, table| {
            m.text(1, table);
            m.text(3, name);
            if let Some(hook) = hook {
                m.nest(4, |m| {
                    m.be32(1, hook.place);
                    m.bytes(2, &hook.priority.to_be_bytes());
                });
                m.be32(5, policy);
                m.text(7, hook.kind);
            }
        });
    }

    pub(in crate::network) fn remove_chain(&mut self, name: &str) {
        self.write(Kind::DeleteChain, 0, |m, table| {
            m.text(1, table);
            m.text(3, name);
        });
    }

    /// Removes all rules of a chain.
    pub(in crate::network) fn flush_chain(&mut self, chain: &str) {
        self.write(Kind::DeleteRule, 0, |m, table| {
            m.text(1, table);
            m.text(2, chain);
        });
    }

    /// Removes one rule.
    pub(in crate::network) fn remove_rule(&mut self, chain: &str, handle: u64) {
        self.write(Kind::DeleteRule, 0, |m, table| {
            m.text(1, table);
            m.text(2, chain);
            m.bytes(3, &handle.to_be_bytes());
        });
    }

    /// Adds a rule at the end of a chain.
    pub(in crate::network) fn rule(
        &mut self,
        chain: &str,
        write: impl FnOnce(&mut Expressions<'_, '_>),
    ) {
        self.write_rule(chain, APPEND, write);
    }

    /// Adds a rule at the beginning of a chain.
    pub(in crate::network) fn first_rule(
        &mut self,
        chain: &str,
        write: impl FnOnce(&mut Expressions<'_, '_>),
    ) {
        self.write_rule(chain, 0, write);
    }

    fn write_rule(
        &mut self,
        chain: &str,
        place: u16,
        write: impl FnOnce(&mut Expressions<'_, '_>),
    ) {
        self.rules += 1;
        self.write(Kind::NewRule, CREATE | place, |m, table| {
            m.text(1, table);
            m.text(2, chain);
            m.nest(4, |m| write(&mut Expressions(m)));
        });
    }

    pub(in crate::network) fn add_set(&mut self, set: Set<'_>) {
        let id = self.next_set();
        let flags = [
            (set.verdicts, SET_MAP),
            (set.ranges, SET_INTERVAL),
            (set.fields.len() > 1, SET_CONCATENATION),
        ];
        let flags = flags.iter().filter(|(on, _)| *on).fold(0, |all, (_, flag)| all | flag);
        let key_type = set.fields.iter().fold(0, |all, (kind, _)| (all << 6) | kind);
        let key_length = set.fields.iter().map(|(_, length)| length.next_multiple_of(4)).sum();
        self.write(Kind::NewSet, CREATE, |m, table| {
            m.text(1, table);
            m.text(2, set.name);
            m.be32(3, flags);
            m.be32(4, key_type);
            m.be32(5, key_length);
            if set.verdicts {
                m.be32(6, TYPE_VERDICT);
                m.be32(7, 0);
            }
            if set.fields.len() > 1 {
                m.nest(9, |m| {
                    m.nest(2, |m| {
                        for (_, length) in set.fields {
                            m.nest(1, |m| m.be32(1, *length));
                        }
                    });
                });
            }
            m.be32(10, id);
            m.bytes(13, &keys_in_host_order());
        });
    }

    /// Adds a map from numbers to address and port that lives as long as the rule that uses it, and
    /// returns its name and its id in the transaction.
    pub(in crate::network) fn add_address_map(
        &mut self,
        values: impl Iterator<Item = Vec<u8>>,
    ) -> (&'static str, u32) {
        const TYPE_INTEGER: u32 = 4;
        const TYPE_ADDRESS_AND_PORT: u32 = (7 << 6) | 13;
        let id = self.next_set();
        self.write(Kind::NewSet, CREATE, |m, table| {
            m.text(1, table);
            m.text(2, ANONYMOUS_MAP);
            m.be32(3, SET_ANONYMOUS | SET_CONSTANT | SET_MAP);
            m.be32(4, TYPE_INTEGER);
            m.be32(5, 4);
            m.be32(6, TYPE_ADDRESS_AND_PORT);
            m.be32(7, 8);
            m.be32(10, id);
            m.bytes(13, &keys_in_host_order());
        });
        let elements: Vec<_> = (0_u32..)
            .zip(values)
            .map(|(number, value)| Element {
                key: number.to_ne_bytes().to_vec(),
                last: None,
                data: Data::Value(value),
            })
            .collect();
        self.elements(Kind::NewElements, ANONYMOUS_MAP, Some(id), &elements);
        (ANONYMOUS_MAP, id)
    }

    pub(in crate::network) fn add_elements(&mut self, set: &str, elements: &[Element]) {
        self.elements += elements.len();
        self.elements(Kind::NewElements, set, None, elements);
    }

    pub(in crate::network) fn remove_elements(&mut self, set: &str, elements: &[Element]) {
        self.elements(Kind::DeleteElements, set, None, elements);
    }

    fn elements(&mut self, kind: Kind, set: &str, id: Option<u32>, elements: &[Element]) {
        let flags = if kind == Kind::NewElements { CREATE } else { 0 };
        for part in elements.chunks(ELEMENTS_IN_A_MESSAGE) {
            self.write(kind, flags, |m, table| {
                m.text(1, table);
                m.text(2, set);
                if let Some(id) = id {
                    m.be32(4, id);
                }
                m.nest(3, |m| {
                    for element in part {
                        m.nest(1, |m| write_element(m, element));
                    }
                });
            });
        }
    }

    fn next_set(&mut self) -> u32 {
        self.sets += 1;
        self.sets
    }

    fn write(&mut self, kind: Kind, flags: u16, write: impl FnOnce(&mut Message<'_>, &str)) {
        // One acknowledgement is enough, since all messages share their fate; the first one asks for
        // it, and each that is refused says so in any case.
        let flags = if self.batch.len() == 1 { flags } else { flags | NO_ACKNOWLEDGE };
        let Self { batch, table, family, .. } = self;
        batch.message(message_kind(kind), flags, |m| {
            m.header(&[*family as u8, 0, 0, 0]);
            write(m, table);
        });
    }
}

/// The question for all chains or rules of a family; `table` and `chain` narrow it.
pub(in crate::network) fn listing(
    kind: Kind,
    family: Family,
    table: Option<&str>,
    chain: Option<&str>,
) -> Batch {
    let mut batch = Batch::new();
    batch.message(message_kind(kind), DUMP, |m| {
        m.header(&[family as u8, 0, 0, 0]);
        if let Some(table) = table {
            m.text(1, table);
        }
        if let Some(chain) = chain {
            m.text(2, chain);
        }
    });
    batch
}

/// How many elements are listed in an answer.
pub(in crate::network) fn count_elements(answer: &Answer) -> usize {
    const ELEMENTS: u16 = 3;
    answer.attributes(4).nested(ELEMENTS).count()
}

/// The family and table that a notification is about. All kinds of objects have the table's name as
/// their first attribute.
pub(in crate::network) fn table_of(answer: &Answer) -> Option<(u8, &str)> {
    const NEW_GENERATION: u16 = 15;
    let [kind, subsystem] = answer.kind.to_le_bytes();
    if u16::from(subsystem) != SUBSYSTEM || u16::from(kind) >= NEW_GENERATION {
        return None;
    }
    Some((*answer.body.first()?, answer.attributes(4).text(1)?))
}

fn message_kind(kind: Kind) -> u16 {
    (SUBSYSTEM << 8) | kind as u16
}

/// A note for `nft list` (it has no meaning for the kernel): keys are in the host's order. Without
/// it, 1 would be shown as 16777216 and a link's name not at all.
fn keys_in_host_order() -> Vec<u8> {
    const KEY_ORDER: u8 = 0;
    const HOST: u32 = 1;
    [[KEY_ORDER, 4].as_slice(), &HOST.to_ne_bytes()].concat()
}

fn write_element(m: &mut Message<'_>, element: &Element) {
    m.nest(1, |m| m.bytes(1, &element.key));
    match &element.data {
        Data::None => {}
        Data::Value(value) => m.nest(2, |m| m.bytes(1, value)),
        Data::Verdict(code, chain) => m.nest(2, |m| write_verdict(m, *code, Some(chain))),
    }
    if let Some(last) = &element.last {
        m.nest(10, |m| m.bytes(1, last));
    }
}
