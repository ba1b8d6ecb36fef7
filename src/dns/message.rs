//! Reading a question, writing an answer.

use hickory_proto::op::{Edns, Header, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, RData, Record};
use hickory_proto::serialize::binary::{BinDecodable as _, BinDecoder};

use super::lookup::TTL;

/// The length of the header of every message (RFC 1035, 4.1.1).
const HEADER: usize = 12;

/// The size we say we can take over UDP: no path fragments it (DNS flag day 2020).
const OUR_PAYLOAD: u16 = 1232;

/// The length of an OPT record without options.
const OPT: usize = 11;

/// A question that was read without fault.
#[derive(Debug)]
pub(super) struct Asked {
    message: Message,
    /// What is asked.
    pub(super) query: Query,
}

/// Bytes that are not a question we can take up.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// Too short to answer, or itself an answer: to reply could start an endless exchange.
    Ignored,
    /// This is to be sent back.
    Reply(Vec<u8>),
}

/// Reads a question.
///
/// # Errors
/// What to do with bytes that are not one.
pub(super) fn read(bytes: &[u8]) -> Result<Asked, Unreadable> {
    const RESPONSE_BIT: u8 = 0x80;
    if bytes.len() < HEADER || bytes[2] & RESPONSE_BIT != 0 {
        return Err(Unreadable::Ignored);
    }
    let bare = |code| Err(Unreadable::Reply(bare_reply(bytes, code)));
    if OpCode::from_u8((bytes[2] >> 3) & 0xf) != OpCode::Query {
        return bare(ResponseCode::NotImp);
    }
    let Ok(message) = Message::from_vec(bytes) else { return bare(ResponseCode::FormErr) };
    let [query] = &message.queries[..] else { return bare(ResponseCode::FormErr) };
    let asked = Asked { query: query.clone(), message };
    if asked.message.version() > 0 {
        return Err(Unreadable::Reply(asked.failure(ResponseCode::BADVERS)));
    }
    if !matches!(asked.query.query_class(), DNSClass::IN | DNSClass::ANY) {
        return Err(Unreadable::Reply(asked.failure(ResponseCode::Refused)));
    }
    Ok(asked)
}

/// Twelve bytes that say no more than what went wrong with the question `bytes`.
fn bare_reply(bytes: &[u8], code: ResponseCode) -> Vec<u8> {
    const OPCODE_AND_RD: u8 = 0b0111_1001;
    let mut reply = vec![0; HEADER];
    reply[..2].copy_from_slice(&bytes[..2]);
    reply[2] = 0x80 | (bytes[2] & OPCODE_AND_RD);
    reply[3] = code.low();
    reply
}

impl Asked {
    /// The largest reply that the asker takes over UDP: 512 bytes unless it says more.
    pub(super) fn payload(&self) -> usize {
        usize::from(self.message.max_payload())
    }

    /// An answer with these records; as many as fit in `limit` bytes, marked as cut if not all do.
    pub(super) fn records(&self, records: Vec<RData>, limit: usize) -> Vec<u8> {
        let mut reply = self.reply(ResponseCode::NoError);
        let mut room = limit.saturating_sub(HEADER + self.query.name().len() + 1 + 4 + OPT);
        for data in records {
            let size = encoded_size(&data);
            if size > room {
                reply.metadata.truncation = true;
                break;
            }
            room -= size;
            reply.add_answer(Record::from_rdata(self.query.name().clone(), TTL, data));
        }
        self.encode(&reply)
    }

    /// An answer without records.
    pub(super) fn failure(&self, code: ResponseCode) -> Vec<u8> {
        let mut reply = self.reply(code);
        reply.metadata.authoritative =
            matches!(code, ResponseCode::NoError | ResponseCode::NXDomain);
        self.encode(&reply)
    }

    /// An answer that says only: ask again over TCP.
    pub(super) fn cut(&self) -> Vec<u8> {
        let mut reply = self.reply(ResponseCode::NoError);
        reply.metadata.authoritative = false;
        reply.metadata.truncation = true;
        self.encode(&reply)
    }

    fn reply(&self, code: ResponseCode) -> Message {
        let mut reply = Message::response(self.message.metadata.id, OpCode::Query);
        reply.metadata.response_code = code;
        reply.metadata.recursion_desired = self.message.metadata.recursion_desired;
        reply.metadata.checking_disabled = self.message.metadata.checking_disabled;
        reply.metadata.recursion_available = true;
        reply.metadata.authoritative = true;
        reply.add_query(self.query.clone());
        if let Some(theirs) = &self.message.edns {
            let mut edns = Edns::new();
            edns.set_max_payload(OUR_PAYLOAD);
            edns.set_dnssec_ok(theirs.flags().dnssec_ok);
            reply.set_edns(edns);
        }
        reply
    }

    /// The reply as bytes; twelve of them if it cannot be written.
    fn encode(&self, reply: &Message) -> Vec<u8> {
        reply.to_vec().unwrap_or_else(|error| {
            tracing::warn!(%error, name = %self.query.name(), "cannot write an answer");
            let id = self.message.metadata.id.to_be_bytes();
            bare_reply(&[id[0], id[1], 0], ResponseCode::ServFail)
        })
    }
}

/// An upper bound for the bytes of a record whose name is a pointer.
fn encoded_size(data: &RData) -> usize {
    const FIXED: usize = 12;
    FIXED
        + match data {
            RData::A(_) => 4,
            RData::AAAA(_) => 16,
            _ => 256,
        }
}

/// How a server outside answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// This is no answer to the question: somebody guesses, or a late answer to another.
    Foreign,
    /// It is the answer, cut short: the whole is to be had over TCP.
    Cut,
    /// It is the answer.
    Good,
    /// The server cannot or does not want to: another may.
    Declined,
}

/// What `reply` is to the question `query` that was sent with `id`.
pub(super) fn judge(reply: &[u8], id: u16, query: &Query) -> Verdict {
    let mut decoder = BinDecoder::new(reply);
    let Ok(header) = Header::read(&mut decoder) else { return Verdict::Foreign };
    let metadata = &header.metadata;
    if metadata.id != id || metadata.message_type != MessageType::Response {
        return Verdict::Foreign;
    }
    let declined = matches!(
        metadata.response_code,
        ResponseCode::ServFail | ResponseCode::Refused | ResponseCode::NotImp
    );
    // A server that declines at once may not repeat the question.
    let repeats = match header.counts.queries {
        0 => declined || metadata.response_code == ResponseCode::FormErr,
        1 => Query::read(&mut decoder).is_ok_and(|theirs| same(&theirs, query)),
        _ => false,
    };
    match (repeats, declined) {
        (false, _) => Verdict::Foreign,
        (true, true) => Verdict::Declined,
        (true, false) if metadata.truncation => Verdict::Cut,
        (true, false) => Verdict::Good,
    }
}

fn same(one: &Query, other: &Query) -> bool {
    // Names compare without regard to case.
    one.name() == other.name()
        && one.query_type() == other.query_type()
        && one.query_class() == other.query_class()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A good question, as a start for those that are broken.
    const GOOD: &[u8] =
        b"\x12\x34\x01\0\0\x01\0\0\0\0\0\x01\x03web\x04shop\0\0\x01\0\x01\0\0\x29\x04\xd0\0\0\0\0\0\0";

    fn check(bytes: &[u8]) {
        let replies = match read(bytes) {
            Ok(asked) => {
                let records = vec![RData::A(std::net::Ipv4Addr::new(10, 0, 0, 2).into()); 300];
                vec![
                    asked.records(records, asked.payload()),
                    asked.failure(ResponseCode::NXDomain),
                    asked.cut(),
                ]
            }
            Err(Unreadable::Reply(reply)) => vec![reply],
            Err(Unreadable::Ignored) => vec![],
        };
        for reply in replies {
            let message = Message::from_vec(&reply).expect("our own reply can be read");
            assert_eq!(message.metadata.id.to_be_bytes(), bytes[..2]);
            assert!(reply.len() <= usize::from(u16::MAX));
        }
        let query = Query::query(hickory_proto::rr::Name::root(), hickory_proto::rr::RecordType::A);
        judge(bytes, 0x1234, &query);
    }

    #[test]
    fn a_good_question_is_read() {
        let asked = read(GOOD).unwrap();
        assert_eq!(asked.query.name().to_ascii(), "web.shop.");
        assert_eq!(asked.payload(), 1232);
        let records = vec![RData::A(std::net::Ipv4Addr::new(10, 0, 0, 2).into()); 300];
        let reply = asked.records(records, asked.payload());
        assert!((1200..=1232).contains(&reply.len()), "{}", reply.len());
    }

    proptest! {
        #[test]
        fn bytes_of_chance_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            check(&bytes);
        }

        #[test]
        fn broken_questions_are_survived(
            changes in prop::collection::vec((0..GOOD.len(), any::<u8>()), 1..8),
            tail in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let mut bytes = GOOD.to_vec();
            for (at, byte) in changes {
                bytes[at] = byte;
            }
            bytes.extend(tail);
            check(&bytes);
        }
    }
}
