//! Replays what the fuzzer of the compose loader has found worth keeping: no panic.

#[path = "../fuzz/entry.rs"]
mod entry;

use std::path::Path;

fn inputs(directory: &Path) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(directory).expect("the corpus is there");
    let paths = entries.map(|entry| entry.expect("an input").path());
    paths.map(|path| std::fs::read(path).expect("an input that can be read")).collect()
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
