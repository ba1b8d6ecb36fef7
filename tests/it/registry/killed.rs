//! Pulls that are killed, at any moment.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use orca::image::Store;
use orca::image::registry::{Registries, Silent};
use orca::model::ImageConfig;

use super::server::Registry;
use crate::image::check_whole;

/// Where the test below pulls to, and what, until it is killed.
const VICTIM: &str = "ORCA_TEST_PULL_UNTIL_KILLED";

/// Three layers of a megabyte that does not pack well, and a few hundred small files.
fn image(store: &Store, name: &str) -> orca::image::Image {
    let mut archive = tar::Builder::new(Vec::new());
    let mut add = |path: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        archive.append_data(&mut header, path, bytes).unwrap();
    };
    let mut number: u32 = 7;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        number.to_be_bytes()[0]
    })
    .take(3 << 20)
    .collect();
    add("noise", &noise);
    for file in 0..400 {
        add(&format!("small/{file}"), file.to_string().as_bytes());
    }
    let tar = archive.into_inner().unwrap();
    store.import(tar.as_slice(), name, ImageConfig::default()).unwrap()
}

fn check_files(store: &Store, name: &str) {
    let id = store.find(name).unwrap().id;
    let layer = store.layers(&id).unwrap().remove(0);
    assert_eq!(fs::metadata(layer.join("noise")).unwrap().len(), 3 << 20);
    for file in 0..400 {
        let path = layer.join(format!("small/{file}"));
        assert_eq!(fs::read_to_string(path).unwrap(), file.to_string());
    }
}

#[test]
fn a_pull_over_and_over_until_it_is_killed() {
    let Some(what) = std::env::var_os(VICTIM) else {
        let registry = Registry::start();
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let name = registry.name("victim:1");
        image(&store, &name);
        store.push(&name, &Registries::default(), &Silent).unwrap();
        store.remove(&name, true).unwrap();
        store.pull(&name, &Registries::default(), &Silent).unwrap();
        check_files(&store, &name);
        return;
    };
    let what = what.into_string().unwrap();
    let (root, name) = what.split_once('\n').unwrap();
    // Ends by being killed, or after far more time than the other test takes.
    for _ in 0..1000 {
        let store = Store::open(Path::new(root)).unwrap();
        store.pull(name, &Registries::default(), &Silent).unwrap();
        store.prune(&BTreeSet::new()).unwrap();
    }
}

#[test]
fn killed_at_any_moment_a_pull_leaves_the_store_whole() {
    let registry = Registry::start();
    let dir = tempfile::tempdir().unwrap();
    let name = registry.name("killed:1");
    {
        let source = Store::open(&dir.path().join("source")).unwrap();
        image(&source, &name);
        source.push(&name, &Registries::default(), &Silent).unwrap();
    }
    let root: PathBuf = dir.path().join("root");
    for _ in 0..25 {
        let mut victim = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "registry::killed::a_pull_over_and_over_until_it_is_killed"])
            .env(VICTIM, format!("{}\n{name}", root.display()))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let wait = 20 + u64::try_from(orca::sys::random::below(280)).unwrap();
        std::thread::sleep(Duration::from_millis(wait));
        victim.kill().unwrap();
        assert!(!victim.wait().unwrap().success(), "it ended before it was killed");

        let store = Store::open(&root).unwrap();
        check_whole(&root);
        if store.resolve(&name).unwrap().is_some() {
            check_files(&store, &name);
        }
        // Whatever was left, the next one completes.
        store.pull(&name, &Registries::default(), &Silent).unwrap();
        check_files(&store, &name);
        store.prune(&BTreeSet::new()).unwrap();
    }
}
