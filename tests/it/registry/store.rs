//! Pulling from and pushing to a real registry, with skopeo at the other end.

use std::fs;
use std::process::Command;
use std::sync::Mutex;

use orca::image::registry::{Registries, Silent, Watcher};
use orca::image::{ImageError, Store};
use orca::model::{Credentials, ImageConfig, Progress};
use tempfile::TempDir;

use super::server::Registry;

#[track_caller]
fn skopeo(args: &[&str]) -> String {
    let output = Command::new("skopeo").arg("--insecure-policy").args(args).output();
    let output = output.unwrap_or_else(|error| {
        panic!("cannot run skopeo: {error}; install it: apt-get install skopeo")
    });
    assert!(
        output.status.success(),
        "skopeo {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn store() -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    (dir, store)
}

/// An image whose one layer holds a few megabytes that do not pack well.
fn image(store: &Store, name: &str) -> orca::image::Image {
    let mut archive = tar::Builder::new(Vec::new());
    let mut number: u32 = 1;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        number.to_be_bytes()[0]
    })
    .take(3 << 20)
    .collect();
    for path in ["bin/one", "bin/two"] {
        let mut header = tar::Header::new_gnu();
        header.set_size(noise.len() as u64);
        header.set_mode(0o755);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1);
        archive.append_data(&mut header, path, noise.as_slice()).unwrap();
    }
    let config = ImageConfig { cmd: vec!["/bin/one".to_owned()], ..ImageConfig::default() };
    store.import(archive.into_inner().unwrap().as_slice(), name, config).unwrap()
}

#[derive(Default)]
struct Log(Mutex<Vec<Progress>>);

impl Watcher for Log {
    fn progress(&self, progress: Progress) {
        self.0.lock().unwrap().push(progress);
    }
}

#[test]
fn what_is_pushed_can_be_pulled_by_all() {
    let registry = Registry::start();
    let registries = Registries::default();
    let (_one, first) = store();
    let name = registry.name("shop/web:1");
    let image = image(&first, &name);
    let digest = first.push(&name, &registries, &Silent).unwrap();
    assert_eq!(digest, image.manifest);

    // skopeo reads it; and packs the layers when it copies it further.
    let config =
        skopeo(&["inspect", "--tls-verify=false", "--config", &format!("docker://{name}")]);
    assert!(config.contains("/bin/one"));
    let packed = registry.name("shop/packed:2");
    let to = format!("docker://{packed}");
    skopeo(&[
        "copy",
        "--src-tls-verify=false",
        "--dest-tls-verify=false",
        "--dest-compress-format=gzip",
        "--dest-compress",
        "--format=v2s2",
        &format!("docker://{name}"),
        &to,
    ]);

    for (name, id) in [(&name, Some(&image.id)), (&packed, None)] {
        let (_dir, second) = store();
        let pulled = second.pull(name, &registries, &Silent).unwrap();
        assert!(id.is_none_or(|id| *id == pulled.id));
        assert_eq!(pulled.layers, image.layers);
        let layer = second.layers(&pulled.id).unwrap().remove(0);
        assert_eq!(fs::metadata(layer.join("bin/two")).unwrap().len(), 3 << 20);
        // Again: nothing moves.
        let log = Log::default();
        assert_eq!(second.pull(name, &registries, &log).unwrap(), pulled);
        assert_eq!(*log.0.lock().unwrap(), []);
        // By digest: nobody is asked.
        let by_digest = format!("{}@{}", name.rsplit_once(':').unwrap().0, pulled.manifest);
        assert_eq!(second.pull(&by_digest, &registries, &log).unwrap().id, pulled.id);
    }
    // To another repository, the layer is taken over; pushed again, it is there.
    let other = registry.name("other:1");
    first.tag(&name, &other).unwrap();
    let log = Log::default();
    first.push(&other, &registries, &log).unwrap();
    first.push(&other, &registries, &log).unwrap();
    assert!(
        !log.0
            .lock()
            .unwrap()
            .iter()
            .any(|p| matches!(p, Progress::Done(d) if *d == image.layers[0]))
    );
}

#[test]
fn what_is_not_there_is_said() {
    let registry = Registry::start();
    let (_dir, store) = store();
    let name = registry.name("no/such:1");
    let error = store.pull(&name, &Registries::default(), &Silent).unwrap_err();
    assert!(error.to_string().contains("404"), "{error}");
    let closed = "127.0.0.1:1/x:1";
    let mut registries = Registries::default();
    registries.timeouts.retries = 1;
    let error = store.pull(closed, &registries, &Silent).unwrap_err();
    assert!(error.to_string().contains("refused"), "{error}");
}

#[test]
fn a_password_opens_a_registry() {
    let registry = Registry::with_password();
    let (_dir, store) = store();
    let name = registry.name("x:1");
    let image = image(&store, &name);
    let mut registries = Registries::default();
    let error = store.push(&name, &registries, &Silent).unwrap_err();
    assert!(error.to_string().contains("orca login"), "{error}");
    let host = registry.name("").trim_end_matches('/').to_owned();
    let login = |password: &str| Credentials::Password {
        user: "me".to_owned(),
        password: password.to_owned(),
    };
    assert!(matches!(
        registries.check_login(&host, &login("wrong")),
        Err(ImageError::Registry { .. })
    ));
    registries.check_login(&host, &login("secret")).unwrap();
    registries.logins.add(&host, login("wrong"));
    let error = store.push(&name, &registries, &Silent).unwrap_err();
    assert!(error.to_string().contains("does not accept"), "{error}");
    registries.logins.add(&host, login("secret"));
    store.push(&name, &registries, &Silent).unwrap();
    let (_dir, second) = self::store();
    assert_eq!(second.pull(&name, &registries, &Silent).unwrap().id, image.id);
    skopeo(&["inspect", "--tls-verify=false", "--creds=me:secret", &format!("docker://{name}")]);
}
