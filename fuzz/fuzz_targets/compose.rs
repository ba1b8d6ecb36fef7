//! Anything as compose files: no panic, whatever comes.

#![no_main]

#[path = "../entry.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|data: &[u8]| entry::compose(data));
