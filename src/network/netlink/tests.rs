//! The codec, against itself and against anything.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn message() -> Batch {
    let mut batch = Batch::new();
    batch.message(16, CREATE, |m| {
        m.header(&[1, 2, 3, 4]);
        m.text(3, "eth0");
        m.nest(18, |m| {
            m.text(1, "veth");
            m.ne32(4, 1500);
        });
        m.be32(5, 7);
    });
    batch
}

#[test]
fn what_is_written_is_read() {
    let batch = message();
    let read: Vec<_> = answers(batch.bytes()).collect();
    assert_eq!(read.len(), 1);
    let attributes = read[0].attributes(4);
    assert_eq!((read[0].kind, read[0].sequence), (16, 1));
    assert_eq!(attributes.text(3), Some("eth0"));
    assert_eq!(attributes.nested(18).text(1), Some("veth"));
    assert_eq!(attributes.nested(18).get(4).and_then(ne32), Some(1500));
    assert_eq!(attributes.get(5).and_then(be32), Some(7));
    assert_eq!(attributes.get(99), None);
}

#[test]
fn every_part_of_a_message_begins_at_a_multiple_of_four() {
    assert!(message().bytes().len().is_multiple_of(4));
}

#[test]
fn only_the_messages_that_ask_are_acknowledged() {
    let mut batch = Batch::new();
    batch.message(1, NO_ACKNOWLEDGE, |_| {});
    batch.message(2, 0, |_| {});
    assert_eq!((batch.len(), batch.acknowledgements()), (2, 1));
}

proptest! {
    #[test]
    fn anything_can_be_read_without_harm(bytes in vec(any::<u8>(), 0..200)) {
        for answer in answers(&bytes) {
            let attributes = answer.attributes(4);
            prop_assert!(attributes.count() <= bytes.len());
        }
        for (kind, value) in Attributes(&bytes) {
            prop_assert!(value.len() < bytes.len());
            prop_assert!(Attributes(value).nested(kind).text(kind).is_none_or(|t| t.len() < bytes.len()));
        }
    }

    #[test]
    fn a_message_that_was_cut_off_is_read_without_harm(length in 0_usize..80) {
        let batch = message();
        let cut = &batch.bytes()[..length.min(batch.bytes().len())];
        prop_assert!(answers(cut).count() <= 1);
    }
}
