//! Registries whose content went bad.

use std::fs;

use crate::support::Orca;

use super::killed::check;
use super::server::Registry;

#[test]
fn a_blob_that_went_bad_in_the_registry_is_refused_and_can_be_mended() {
    let registry = Registry::start();
    let orca = Orca::new().with_busybox();
    let name = registry.name("x:1");
    super::commands::publish(&orca, &name);
    orca.ok(&["image", "rm", "busybox"]);
    orca.ok(&["image", "prune", "-a"]);
    let ran = orca.run(&["image", "pull", &name]).expect(0);
    let inspected = orca.ok(&["image", "inspect", &name]);
    drop(ran);
    // The only layer, by the blob that is the largest.
    let blobs = orca.root().join("images/blobs/sha256");
    let largest = fs::read_dir(&blobs).unwrap().map(|e| e.unwrap().path());
    let largest = largest.max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
    let digest = format!("sha256:{}", largest.file_name().unwrap().to_str().unwrap());
    assert!(!inspected.is_empty());
    orca.ok(&["image", "rm", &name]);
    orca.ok(&["image", "prune", "-a"]);
    let theirs = registry.blob(&digest);
    let good = fs::read(&theirs).unwrap();
    let mut bad = good.clone();
    let middle = bad.len() / 2;
    bad[middle] ^= 1;
    for wrong in [bad, good[..middle].to_vec()] {
        fs::write(&theirs, wrong).unwrap();
        let ran = orca.run(&["image", "pull", &name]).expect(1);
        assert!(ran.stderr.contains(&digest), "{}", ran.stderr);
        assert!(!blobs.join(&digest[7..]).exists());
        check(&orca.root());
    }
    fs::write(&theirs, good).unwrap();
    orca.ok(&["image", "pull", &name]);
}
