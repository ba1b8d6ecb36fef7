//! Living with the packet filter of docker and of the administrator.
//!
//! A packet that any base chain drops is lost, whatever ours say; where bridged frames pass the
//! host's rules, docker's `FORWARD` policy even cuts a bridge off from itself. So where such a chain
//! drops by default, two rules that accept our bridges go into it: at the beginning of `DOCKER-USER`,
//! which docker keeps for such rules, or else at the end of `FORWARD`, behind what the administrator
//! wrote there. What is to be filtered is filtered in our own table.
//!
//! The rules have the form that iptables-nft reads as `-i orc12345+ -j ACCEPT`; anything else would
//! make it refuse the whole table.

use super::NetworkError;
use super::netlink::{Answer, Attributes, Connection, be32};
use super::rules::{Expressions, Family, Kind, Meta, Transaction, listing, verdict};

const TABLE: &str = "filter";
const FORWARD: &str = "FORWARD";
const FOR_USERS: &str = "DOCKER-USER";
const FAMILIES: [Family; 2] = [Family::Ipv4, Family::Ipv6];

/// What is to be done in one family.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    chain: &'static str,
    first: bool,
}

/// Puts the accepting rules where they are needed and not there yet.
pub(super) fn accept(connection: &Connection, prefix: &str) -> Result<(), NetworkError> {
    for family in FAMILIES {
        let chains = chains(connection, family)?;
        let Some(target) = target(&chains) else { continue };
        let present = ours(connection, family, target.chain, prefix)?;
        let mut transaction = Transaction::of_family(TABLE, family);
        for which in [Meta::InName, Meta::OutName] {
            if present.iter().any(|rule| rule.which == which as u32) {
                continue;
            }
            let write = |e: &mut Expressions<'_, '_>| {
                e.name_begins(which, prefix);
                e.counter();
                e.verdict(verdict::ACCEPT);
            };
            if target.first {
                transaction.first_rule(target.chain, write);
            } else {
                transaction.rule(target.chain, write);
            }
        }
        commit(connection, transaction, "let the networks pass the filter of other programs")?;
    }
    Ok(())
}

/// Takes the accepting rules away again, wherever they are.
pub(super) fn withdraw(connection: &Connection, prefix: &str) -> Result<(), NetworkError> {
    for family in FAMILIES {
        let chains = chains(connection, family)?;
        for chain in [FOR_USERS, FORWARD] {
            if !chains.iter().any(|known| known.name == chain) {
                continue;
            }
            let mut transaction = Transaction::of_family(TABLE, family);
            for rule in ours(connection, family, chain, prefix)? {
                transaction.remove_rule(chain, rule.handle);
            }
            commit(connection, transaction, "remove rules from the filter of other programs")?;
        }
    }
    Ok(())
}

fn commit(
    connection: &Connection,
    transaction: Transaction,
    action: &str,
) -> Result<(), NetworkError> {
    if transaction.is_empty() {
        return Ok(());
    }
    connection.send(&transaction.finish()).map_err(NetworkError::kernel(action))
}

/// Warns of rules that we cannot join: those of iptables-legacy are not reachable by netlink.
pub(super) fn warn_of_legacy_rules() {
    let tables = std::fs::read_to_string("/proc/net/ip_tables_names").unwrap_or_default();
    if tables.lines().any(|table| table == TABLE) {
        tracing::warn!(
            "rules of iptables-legacy are in force on this host: if they drop what is forwarded, \
             containers are cut off until `-i orc+` and `-o orc+` are accepted there"
        );
    }
}

#[derive(Debug)]
struct Chain {
    name: String,
    drops: bool,
}

fn chains(connection: &Connection, family: Family) -> Result<Vec<Chain>, NetworkError> {
    const NAME: u16 = 3;
    const POLICY: u16 = 5;
    let listing = listing(Kind::GetChain, family, None, None);
    let failed = NetworkError::kernel("list the chains of the packet filter");
    let answers = connection.ask(&listing).map_err(failed)?;
    let chain = |answer: &Answer| {
        let attributes = answer.attributes(4);
        let drops = attributes.get(POLICY).and_then(be32) == Some(0);
        let name = attributes.text(NAME).filter(|_| attributes.text(1) == Some(TABLE))?.to_owned();
        Some(Chain { name, drops })
    };
    Ok(answers.iter().filter_map(chain).collect())
}

fn target(chains: &[Chain]) -> Option<Target> {
    let there = |name: &str| chains.iter().find(|chain| chain.name == name);
    if there(FOR_USERS).is_some() {
        return Some(Target { chain: FOR_USERS, first: true });
    }
    there(FORWARD).filter(|chain| chain.drops).map(|_| Target { chain: FORWARD, first: false })
}

/// One of our rules in a chain of others.
#[derive(Debug)]
struct Ours {
    handle: u64,
    /// [`Meta::InName`] or [`Meta::OutName`].
    which: u32,
}

fn ours(
    connection: &Connection,
    family: Family,
    chain: &str,
    prefix: &str,
) -> Result<Vec<Ours>, NetworkError> {
    let listing = listing(Kind::GetRule, family, Some(TABLE), Some(chain));
    let failed = NetworkError::kernel("list the rules of the packet filter");
    let answers = connection.ask(&listing).map_err(failed)?;
    Ok(answers.iter().filter_map(|answer| read_ours(answer.attributes(4), prefix)).collect())
}

/// Reads a rule of the form `iifname "prefix*" counter accept`; `None` if it is another.
fn read_ours(rule: Attributes<'_>, prefix: &str) -> Option<Ours> {
    const HANDLE: u16 = 3;
    const EXPRESSIONS: u16 = 4;
    let expressions: Vec<Attributes<'_>> =
        rule.nested(EXPRESSIONS).map(|(_, value)| Attributes(value)).collect();
    let names: Vec<_> = expressions.iter().map(|e| e.text(1).unwrap_or_default()).collect();
    if names != ["meta", "cmp", "counter", "immediate"] {
        return None;
    }
    let which = expressions[0].nested(2).get(2).and_then(be32)?;
    let compared = expressions[1].nested(2).nested(3).get(1)?;
    let code = expressions[3].nested(2).nested(2).nested(2).get(1).and_then(be32)?;
    let accepts = i32::try_from(code) == Ok(verdict::ACCEPT);
    if compared != prefix.as_bytes() || !accepts {
        return None;
    }
    let handle = rule.get(HANDLE)?.try_into().ok().map(u64::from_be_bytes)?;
    Some(Ours { handle, which })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(name: &str, drops: bool) -> Chain {
        Chain { name: name.to_owned(), drops }
    }

    #[test]
    fn an_accepting_filter_is_left_alone() {
        assert_eq!(target(&[chain("FORWARD", false), chain("INPUT", true)]), None);
    }

    #[test]
    fn a_dropping_filter_gets_the_rules_at_its_end() {
        let found = target(&[chain("FORWARD", true)]);
        assert_eq!(found, Some(Target { chain: FORWARD, first: false }));
    }

    #[test]
    fn dockers_chain_for_users_goes_first() {
        let found = target(&[chain("FORWARD", true), chain("DOCKER-USER", false)]);
        assert_eq!(found, Some(Target { chain: FOR_USERS, first: true }));
    }
}
