//! Replays what the fuzzer has found worth keeping, and every case of conformance: no panic.

#[path = "../fuzz/entry.rs"]
mod entry;

use std::path::Path;

fn inputs(directory: &Path) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(directory).unwrap();
    entries.map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect()
}

#[test]
fn the_kept_corpus_makes_nothing_panic() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/compose");
    let inputs = inputs(&corpus);
    assert!(inputs.len() > 50, "only {} inputs", inputs.len());
    for input in inputs {
        entry::compose(&input);
    }
}
