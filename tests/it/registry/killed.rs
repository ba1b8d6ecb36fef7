//! Pulls that are killed, at any moment.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use sha2::{Digest as _, Sha256};

use crate::support::Orca;

use super::server::Registry;

/// How often the daemon is killed.
const KILLS: u32 = 50;

/// Every blob is what its name says, and everything that the index and its manifests name is there.
pub(super) fn check(root: &Path) {
    let images = root.join("images");
    let blobs = images.join("blobs/sha256");
    let mut here = BTreeSet::new();
    for entry in fs::read_dir(&blobs).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let hash = Sha256::digest(fs::read(&path).unwrap());
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, name, "a blob is damaged");
        here.insert(format!("sha256:{name}"));
    }
    let Ok(index) = fs::read(images.join("index.json")) else { return };
    let read = |digest: &str| -> serde_json::Value {
        let hex = digest.strip_prefix("sha256:").unwrap();
        serde_json::from_slice(&fs::read(blobs.join(hex)).unwrap()).unwrap()
    };
    let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
    for entry in index["manifests"].as_array().unwrap() {
        let digest = entry["digest"].as_str().unwrap();
        assert!(here.contains(digest), "the manifest {digest} is missing");
        let manifest = read(digest);
        let layers = manifest["layers"].as_array().unwrap();
        for part in layers.iter().chain([&manifest["config"]]) {
            let part = part["digest"].as_str().unwrap();
            assert!(here.contains(part), "{part} is missing");
        }
    }
}

/// Layers that are in their place are whole: each has its forty files.
fn check_layers(root: &Path) {
    for layer in fs::read_dir(root.join("images/layers")).unwrap() {
        let layer = layer.unwrap().path();
        if !layer.join("layer.json").exists() {
            continue;
        }
        let mut dirs = fs::read_dir(layer.join("fs")).unwrap();
        let dir = dirs.next().expect("a layer has its directory").unwrap().path();
        let files = fs::read_dir(&dir).unwrap().map(|file| file.unwrap().metadata().unwrap().len());
        assert_eq!(files.collect::<Vec<_>>(), vec![100_000; 40], "{}", dir.display());
    }
}

/// An image of several layers that do not pack well, as an archive that docker would write; made of
/// nothing but numbers.
fn archive(path: &Path) {
    let mut outer = tar::Builder::new(fs::File::create(path).unwrap());
    let mut put = |name: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        outer.append_data(&mut header, name, bytes).unwrap();
    };
    let (mut number, mut names, mut ids) = (9_u32, Vec::new(), Vec::new());
    for layer in 0..6 {
        let mut inner = tar::Builder::new(Vec::new());
        for file in 0..40 {
            let noise: Vec<u8> = std::iter::repeat_with(|| {
                number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                number.to_be_bytes()[0]
            })
            .take(100_000)
            .collect();
            let mut header = tar::Header::new_gnu();
            header.set_size(noise.len() as u64);
            header.set_mode(0o644);
            inner
                .append_data(&mut header, format!("layer{layer}/{file}"), noise.as_slice())
                .unwrap();
        }
        let bytes = inner.into_inner().unwrap();
        let hash = Sha256::digest(&bytes);
        ids.push(format!("sha256:{}", hash.iter().map(|b| format!("{b:02x}")).collect::<String>()));
        names.push(format!("{layer}/layer.tar"));
        put(&names[layer], &bytes);
    }
    let architecture = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };
    let config = serde_json::json!({
        "architecture": architecture, "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": ids},
    });
    put("config.json", config.to_string().as_bytes());
    let manifest =
        serde_json::json!([{"Config": "config.json", "RepoTags": ["large:1"], "Layers": names}]);
    put("manifest.json", manifest.to_string().as_bytes());
    outer.finish().unwrap();
}

#[test]
fn a_daemon_that_is_killed_while_it_pulls_leaves_a_good_store() {
    let registry = Registry::start();
    let name = registry.name("large:1");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("large.tar");
    archive(&file);
    // From elsewhere, so that nothing of it is here.
    let other = Orca::new();
    other.ok(&["image", "load", "-q", "-i", file.to_str().unwrap()]);
    other.ok(&["image", "tag", "large:1", &name]);
    other.ok(&["image", "push", &name]);
    drop(other);
    let orca = Orca::new();
    let mut number: u32 = std::process::id();
    let (mut cut, mut here) = (0, false);
    for round in 0..KILLS {
        if here {
            // What is here already would come too fast to be cut off. To pull starts the daemon.
            orca.ok(&["image", "pull", &name]);
            orca.ok(&["image", "rm", &name]);
            orca.ok(&["image", "prune", "-a"]);
        }
        let mut pull = orca.spawn(&["image", "pull", &name]);
        number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let wait = u64::from(number >> 16) % 400;
        std::thread::sleep(Duration::from_millis(wait));
        let daemon = orca.processes().into_iter().find(|(_, line)| line.contains(" daemon "));
        if let Some((pid, _)) = daemon {
            Orca::kill(pid, Signal::SIGKILL);
            while Path::new(&format!("/proc/{pid}/exe")).exists() {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        here = pull.wait().unwrap().success();
        cut += u32::from(!here);
        if orca.root().join("images").exists() {
            check(&orca.root());
            check_layers(&orca.root());
        }
        // Now and then it begins anew.
        if round % 10 == 9 {
            orca.ok(&["image", "pull", &name]);
            check(&orca.root());
            here = true;
        }
    }
    assert!(cut > 0, "no pull of {KILLS} was cut off");
    orca.ok(&["image", "pull", &name]);
    check(&orca.root());
    check_layers(&orca.root());
    assert_eq!(fs::read_dir(orca.root().join("images/layers")).unwrap().count(), 6);
    assert_eq!(fs::read_dir(orca.root().join("images/staging")).unwrap().count(), 0);
}
