//! Pulls from a registry that does what a test tells it to, mostly wrong.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use super::{Registries, Silent, Timeouts, Watcher};
use crate::image::disk::locked;
use crate::image::document::{Platform, digest_of, media};
use crate::image::store::{Image, Store};
use crate::image::testing::{Archive, gzip, zstd};
use crate::model::{Credentials, Digest, Progress};

/// One request, as a test sees it.
struct Asked {
    method: String,
    path: String,
    headers: BTreeMap<String, String>,
    body: String,
}

/// What is sent back. The length is announced as that of the body, unless it is said otherwise.
#[derive(Clone)]
struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    announced: Option<usize>,
    /// Keeps the connection open after the body, saying nothing more.
    hang: bool,
    /// Says nothing at all.
    silent: bool,
    /// Sends the body byte by byte, with this pause after each.
    drip: Option<Duration>,
}

fn reply(status: u16, body: &[u8]) -> Reply {
    Reply {
        status,
        headers: Vec::new(),
        body: body.to_vec(),
        announced: None,
        hang: false,
        silent: false,
        drip: None,
    }
}

impl Reply {
    fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

type Script = Arc<dyn Fn(&Asked) -> Reply + Send + Sync>;

/// A server on the loopback address, until it is dropped.
struct Fake {
    port: u16,
    log: Arc<Mutex<Vec<String>>>,
    ending: Arc<AtomicBool>,
}

impl Fake {
    fn start(script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::at("127.0.0.1", script)
    }

    fn at(address: &str, script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((address, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (log, ending) =
            (Arc::<Mutex<Vec<String>>>::default(), Arc::new(AtomicBool::new(false)));
        let script: Script = Arc::new(script);
        let (seen, end) = (log.clone(), ending.clone());
        thread::spawn(move || {
            for stream in listener.incoming() {
                if end.load(Ordering::Relaxed) {
                    break;
                }
                let (script, seen) = (script.clone(), seen.clone());
                thread::spawn(move || serve(&stream.unwrap(), &script, &seen));
            }
        });
        Self { port, log, ending }
    }

    fn name(&self, rest: &str) -> String {
        format!("127.0.0.1:{}/{rest}", self.port)
    }

    fn log(&self) -> Vec<String> {
        std::mem::take(&mut locked(&self.log))
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(("localhost", self.port)));
    }
}

/// Answers requests until the peer goes, or an answer is meant to break off.
fn serve(stream: &TcpStream, script: &Script, seen: &Mutex<Vec<String>>) {
    let mut input = BufReader::new(stream);
    loop {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if input.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let mut first = lines[0].split(' ').map(str::to_owned);
        let header = |line: &String| {
            line.split_once(": ").map(|(k, v)| (k.to_ascii_lowercase(), v.to_owned()))
        };
        let headers: BTreeMap<String, String> = lines[1..].iter().filter_map(header).collect();
        let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        input.read_exact(&mut body).unwrap();
        let asked = Asked {
            method: first.next().unwrap(),
            path: first.next().unwrap(),
            headers,
            body: String::from_utf8(body).unwrap(),
        };
        let range = asked.headers.get("range").map(|range| format!(" {range}")).unwrap_or_default();
        locked(seen).push(format!("{} {}{range}", asked.method, asked.path));
        let reply = script(&asked);
        if reply.silent {
            thread::sleep(Duration::from_secs(20));
            return;
        }
        let mut text = format!("HTTP/1.1 {} X\r\n", reply.status);
        let length = reply.announced.unwrap_or(reply.body.len());
        write!(text, "content-length: {length}\r\n").unwrap();
        for (name, value) in &reply.headers {
            write!(text, "{name}: {value}\r\n").unwrap();
        }
        let mut output = stream;
        let body = if asked.method == "HEAD" { &[] } else { reply.body.as_slice() };
        let sent = output.write_all(text.as_bytes()).and_then(|()| output.write_all(b"\r\n"));
        let sent = sent.and_then(|()| match reply.drip {
            None => output.write_all(body),
            Some(pause) => body.iter().try_for_each(|byte| {
                thread::sleep(pause);
                output.write_all(&[*byte])
            }),
        });
        if sent.is_err() {
            return;
        }
        if reply.hang {
            thread::sleep(Duration::from_secs(20));
        }
        if reply.hang || (length != reply.body.len() && asked.method != "HEAD") {
            return;
        }
    }
}

/// An image of one layer, as a registry has it.
#[derive(Clone)]
struct Content {
    layer: Vec<u8>,
    config: Vec<u8>,
    manifest: Vec<u8>,
}

impl Content {
    fn new(pack: fn(&[u8]) -> Vec<u8>) -> Self {
        let mut number: u32 = 7;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            number.to_be_bytes()[0]
        })
        .take(600_000)
        .collect();
        let tar = Archive::new().bytes("noise", &noise).end();
        let host = Platform::host();
        let config = json!({
            "architecture": host.architecture, "os": "linux",
            "config": {"Cmd": ["x"], "Healthcheck": {"Test": ["CMD-SHELL", "true"], "Interval": 2_000_000_000}},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(&tar)]},
        });
        let config = serde_json::to_vec(&config).unwrap();
        let layer = pack(&tar);
        let manifest = json!({
            "schemaVersion": 2, "mediaType": media::MANIFEST,
            "config": {"mediaType": media::CONFIG, "digest": digest_of(&config), "size": config.len()},
            "layers": [{"mediaType": media::LAYER_GZIP, "digest": digest_of(&layer), "size": layer.len()}],
        });
        Self { layer, config, manifest: serde_json::to_vec(&manifest).unwrap() }
    }

    /// What a good registry answers.
    fn answer(&self, asked: &Asked) -> Reply {
        let parts: [&[u8]; 2] = [&self.layer, &self.config];
        if let Some(tag) = asked.path.strip_prefix("/v2/x/manifests/") {
            let digest = digest_of(&self.manifest);
            if tag == "1" || tag == digest.as_str() {
                return reply(200, &self.manifest)
                    .with("content-type", media::MANIFEST)
                    .with("docker-content-digest", digest.as_str());
            }
        } else if let Some(digest) = asked.path.strip_prefix("/v2/x/blobs/")
            && let Some(part) = parts.into_iter().find(|part| digest_of(part).as_str() == digest)
        {
            return match asked.headers.get("range") {
                None => reply(200, part),
                Some(range) => {
                    let from = range.trim_start_matches("bytes=").trim_end_matches('-');
                    let from: usize = from.parse().unwrap();
                    let range = format!("bytes {from}-{}/{}", part.len() - 1, part.len());
                    reply(206, &part[from..]).with("content-range", &range)
                }
            };
        }
        reply(404, br#"{"errors":[{"code":"NAME_UNKNOWN","message":"nobody knows it"}]}"#)
    }

    fn layer_path(&self) -> String {
        format!("/v2/x/blobs/{}", digest_of(&self.layer))
    }
}

fn quick() -> Registries {
    let ms = Duration::from_millis;
    let timeouts = Timeouts { connect: ms(500), idle: ms(400), retries: 3, back_off: ms(1) };
    Registries { timeouts, ..Registries::default() }
}

fn store() -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    (dir, store)
}

fn pull(fake: &Fake) -> Result<(TempDir, Store, Image), String> {
    let (dir, store) = store();
    let image =
        store.pull(&fake.name("x:1"), &quick(), &Silent).map_err(|error| error.to_string())?;
    let layer = store.layers(&image.id).unwrap().remove(0);
    assert_eq!(std::fs::metadata(layer.join("noise")).unwrap().len(), 600_000);
    Ok((dir, store, image))
}

#[track_caller]
fn refused(script: impl Fn(&Asked) -> Reply + Send + Sync + 'static, reason: &str) {
    let fake = Fake::start(script);
    let (dir, store) = store();
    let error = store.pull(&fake.name("x:1"), &quick(), &Silent).expect_err(reason).to_string();
    assert!(error.contains(reason), "{error}");
    assert_eq!(store.list().unwrap(), []);
    for place in ["blobs/sha256", "layers", "staging"] {
        let left = std::fs::read_dir(dir.path().join("images").join(place)).unwrap().count();
        assert_eq!(left, 0, "{place}");
    }
}

#[test]
fn layers_come_in_every_packing() {
    for pack in [gzip as fn(&[u8]) -> Vec<u8>, zstd, <[u8]>::to_vec] {
        let content = Content::new(pack);
        let fake = Fake::start(move |asked| content.answer(asked));
        let (_dir, _store, image) = pull(&fake).unwrap();
        assert_eq!(image.config.cmd, ["x"]);
        let check = image.config.healthcheck.unwrap();
        assert_eq!(check.interval, Some(Duration::from_secs(2)));
    }
}

#[test]
fn an_unchanged_image_costs_one_request_and_a_pinned_one_none() {
    let content = Content::new(gzip);
    let digest = digest_of(&content.manifest);
    let fake = Fake::start(move |asked| content.answer(asked));
    let (_dir, store, image) = pull(&fake).unwrap();
    fake.log();
    assert_eq!(store.pull(&fake.name("x:1"), &quick(), &Silent).unwrap(), image);
    assert_eq!(fake.log(), ["HEAD /v2/x/manifests/1"]);
    store.pull(&fake.name(&format!("x@{digest}")), &quick(), &Silent).unwrap();
    assert_eq!(fake.log(), Vec::<String>::new());
}

#[test]
fn of_an_index_the_image_for_this_host_is_taken() {
    let content = Content::new(gzip);
    let ours = digest_of(&content.manifest);
    let entry = |digest: &Digest, architecture: &str, os: &str| {
        json!({"mediaType": media::MANIFEST, "digest": digest, "size": 1,
               "platform": {"architecture": architecture, "os": os}})
    };
    let host = Platform::host().architecture;
    let other = digest_of(b"other");
    let index = |entries: Vec<serde_json::Value>| {
        serde_json::to_vec(&json!({"schemaVersion": 2, "manifests": entries})).unwrap()
    };
    let full = index(vec![
        entry(&other, "unknown", "unknown"),
        entry(&other, &host, "windows"),
        entry(&ours, &host, "linux"),
    ]);
    let without = index(vec![entry(&other, "s390x", "linux")]);
    let source = digest_of(&full);
    let with = move |index: Vec<u8>, content: Content| {
        move |asked: &Asked| {
            let digest = digest_of(&index);
            match asked.path.as_str() {
                "/v2/x/manifests/1" => reply(200, &index)
                    .with("content-type", media::INDEX)
                    .with("docker-content-digest", digest.as_str()),
                _ => content.answer(asked),
            }
        }
    };
    let fake = Fake::start(with(full, content.clone()));
    let (_dir, store, image) = pull(&fake).unwrap();
    assert_eq!(image.manifest, ours);
    fake.log();
    store.pull(&fake.name("x:1"), &quick(), &Silent).unwrap();
    assert_eq!(fake.log(), ["HEAD /v2/x/manifests/1"]);
    // The digest of the index names the image, too.
    assert_eq!(store.resolve(&fake.name(&format!("x@{source}"))).unwrap(), Some(image));
    refused(with(without, content), "is for linux/s390x");
}

#[test]
fn a_broken_download_goes_on_where_it_was() {
    let content = Content::new(gzip);
    let (path, length) = (content.layer_path(), content.layer.len());
    let tries = AtomicUsize::new(0);
    let fake = Fake::start(move |asked| {
        let mut reply = content.answer(asked);
        if asked.path == content.layer_path() {
            // Each answer breaks off after 100,000 bytes: more often than anybody is patient.
            let turn = tries.fetch_add(1, Ordering::Relaxed);
            if turn < 5 {
                reply.announced = Some(reply.body.len());
                reply.body.truncate(100_000);
            }
        }
        reply
    });
    pull(&fake).unwrap();
    let log = fake.log();
    let ranges: Vec<_> = log.iter().filter(|line| line.contains(&path)).collect();
    assert_eq!(ranges.len(), 6);
    assert!(ranges[3].ends_with(" bytes=300000-"), "{ranges:?}");
    assert!(length > 550_000);
}

#[test]
fn a_registry_that_ignores_offsets_is_no_problem() {
    let content = Content::new(gzip);
    let first = AtomicBool::new(true);
    let fake = Fake::start(move |asked| {
        let mut asked = Asked {
            method: asked.method.clone(),
            path: asked.path.clone(),
            headers: asked.headers.clone(),
            body: String::new(),
        };
        asked.headers.remove("range");
        let mut reply = content.answer(&asked);
        if asked.path == content.layer_path() && first.swap(false, Ordering::Relaxed) {
            reply.announced = Some(reply.body.len());
            reply.body.truncate(123_456);
        }
        reply
    });
    pull(&fake).unwrap();
}

#[test]
fn the_next_pull_uses_what_came() {
    let content = Content::new(gzip);
    let path = content.layer_path();
    let broken = Arc::new(AtomicBool::new(true));
    let now = broken.clone();
    let fake = Fake::start(move |asked| {
        if asked.path == content.layer_path() && now.load(Ordering::Relaxed) {
            if asked.headers.contains_key("range") {
                return reply(500, b"");
            }
            let mut reply = content.answer(asked);
            reply.announced = Some(reply.body.len());
            reply.body.truncate(400_000);
            return reply;
        }
        content.answer(asked)
    });
    let (dir, store) = store();
    let name = fake.name("x:1");
    store.pull(&name, &quick(), &Silent).unwrap_err();
    broken.store(false, Ordering::Relaxed);
    fake.log();
    // As another process would.
    let again = Store::open(dir.path()).unwrap();
    again.pull(&name, &quick(), &Silent).unwrap();
    assert!(fake.log().contains(&format!("GET {path} bytes=400000-")));
    assert_eq!(std::fs::read_dir(dir.path().join("images/partial")).unwrap().count(), 0);
}

#[test]
fn a_beginning_that_went_bad_is_dropped() {
    let content = Content::new(gzip);
    let digest = digest_of(&content.layer);
    let fake = Fake::start(move |asked| content.answer(asked));
    let (dir, store) = store();
    let partial = dir.path().join("images/partial").join(digest.hex());
    std::fs::write(&partial, vec![0; 1000]).unwrap();
    store.pull(&fake.name("x:1"), &quick(), &Silent).unwrap();
    assert!(!partial.exists());
}

#[test]
fn passing_trouble_passes() {
    for trouble in
        [reply(503, b""), reply(429, b"").with("retry-after", "0"), reply(502, b"<html>")]
    {
        let content = Content::new(gzip);
        let left = AtomicUsize::new(6);
        let fake = Fake::start(move |asked| {
            let turn =
                left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
            match turn {
                // Two bad answers, then a good one.
                Ok(turn) if turn % 3 != 1 => trouble.clone(),
                _ => content.answer(asked),
            }
        });
        pull(&fake).unwrap();
    }
}

#[test]
fn trouble_that_stays_is_told() {
    let content = Content::new(gzip);
    let say =
        |status: u16| move |_: &Asked| reply(status, br#"{"errors":[{"message":"so it is"}]}"#);
    refused(say(503), "503 Service Unavailable: so it is");
    refused(say(429), "429 Too Many Requests: so it is");
    refused(say(404), "404 Not Found: so it is; check the name");
    refused(say(403), "may not do that");
    refused(say(401), "orca login");
    let good = content.clone();
    refused(
        move |asked| match asked.path == good.layer_path() {
            true => reply(200, &good.layer[..1000]),
            false => good.answer(asked),
        },
        "get all of layer",
    );
    let good = content.clone();
    refused(
        move |asked| match asked.path == good.layer_path() {
            true => reply(200, &[good.layer.as_slice(), b"more"].concat()),
            false => good.answer(asked),
        },
        "larger than the limit",
    );
    let good = content.clone();
    refused(
        move |asked| {
            let mut reply = good.answer(asked);
            if asked.path == good.layer_path() {
                reply.body[300_000] ^= 1;
            }
            reply
        },
        "",
    );
    refused(
        move |asked| {
            let mut reply = content.answer(asked);
            reply.hang = asked.path == content.layer_path();
            reply.announced = reply.hang.then_some(reply.body.len());
            reply.body.truncate(if reply.hang { 10 } else { usize::MAX });
            reply
        },
        "layer",
    );
}

#[test]
fn what_is_no_image_is_refused_before_its_layers() {
    let content = Content::new(gzip);
    let with = |change: fn(&mut serde_json::Value)| {
        let content = content.clone();
        let mut manifest = serde_json::from_slice(&content.manifest).unwrap();
        change(&mut manifest);
        let manifest = serde_json::to_vec(&manifest).unwrap();
        move |asked: &Asked| match asked.path.as_str() {
            "/v2/x/manifests/1" => reply(200, &manifest).with("content-type", media::MANIFEST),
            path if path == content.layer_path() => panic!("the layer was asked for"),
            _ => content.answer(asked),
        }
    };
    refused(with(|m| m["schemaVersion"] = json!(1)), "schema 1");
    refused(
        with(|m| m["config"]["mediaType"] = json!("application/vnd.cncf.helm.config.v1+json")),
        "no container image",
    );
    refused(with(|m| m["layers"] = json!([])), "0 layers");
    refused(with(|m| m["layers"][0]["size"] = json!(1_u64 << 60)), "larger than the limit");
    refused(with(|m| m["layers"][0]["digest"] = json!("sha512:00")), "only sha256");
    refused(|_: &Asked| reply(200, b"<html>hello"), "not the JSON");
    refused(|_: &Asked| reply(200, &vec![b' '; 9 << 20]), "longer than");
}

#[test]
fn a_token_is_fetched_once_and_shown_to_nobody_else() {
    let content = Content::new(gzip);
    let storage = {
        let content = content.clone();
        Fake::start(move |asked| {
            assert!(!asked.headers.contains_key("authorization"), "{}", asked.path);
            let mut asked = Asked {
                method: "GET".to_owned(),
                path: content.layer_path(),
                headers: asked.headers.clone(),
                body: String::new(),
            };
            asked.headers.remove("host");
            content.answer(&asked)
        })
    };
    let tokens = Fake::start(|asked| {
        let scope = "scope=repository%3Ax%3Apull";
        assert!(
            asked.path.contains(scope) && asked.path.contains("service=fake"),
            "{}",
            asked.path
        );
        // me:secret
        assert_eq!(asked.headers["authorization"], "Basic bWU6c2VjcmV0");
        reply(200, br#"{"token":"abc"}"#)
    });
    let (realm, elsewhere) = (
        format!("http://127.0.0.1:{}/token", tokens.port),
        format!("http://127.0.0.1:{}/layer", storage.port),
    );
    let fake = Fake::start(move |asked| {
        if asked.headers.get("authorization").is_none_or(|header| header != "Bearer abc") {
            let challenge = format!(r#"Bearer realm="{realm}",service="fake""#);
            return reply(401, b"").with("www-authenticate", &challenge);
        }
        match asked.path == content.layer_path() {
            true => reply(307, b"").with("location", &elsewhere),
            false => content.answer(asked),
        }
    });
    let mut registries = quick();
    let login = Credentials::Password { user: "me".to_owned(), password: "secret".to_owned() };
    registries.logins.add(&fake.name("").replace('/', ""), login);
    let (_dir, store) = store();
    store.pull(&fake.name("x:1"), &registries, &Silent).unwrap();
    assert_eq!(tokens.log().len(), 1);
    assert_eq!(storage.log().len(), 1);
}

#[test]
fn a_password_is_not_told_to_a_server_without_encryption() {
    let fake = Fake::start(|_| {
        reply(401, b"").with("www-authenticate", r#"Bearer realm="http://example.com/token""#)
    });
    let (_dir, store) = store();
    let error = store.pull(&fake.name("x:1"), &quick(), &Silent).unwrap_err().to_string();
    assert!(error.contains("is not encrypted"), "{error}");
}

#[test]
fn redirections_end() {
    let fake = Fake::start(|asked| reply(302, b"").with("location", &asked.path));
    let (_dir, store) = store();
    let error = store.pull(&fake.name("x:1"), &quick(), &Silent).unwrap_err().to_string();
    assert!(error.contains("redirects more than"), "{error}");
}

#[test]
fn who_asks_to_wait_for_long_is_not_waited_for() {
    for wait in ["3600", "Fri, 31 Dec 2100 23:59:59 GMT"] {
        let fake = Fake::start(move |_| reply(429, b"").with("retry-after", wait));
        let (_dir, store) = store();
        let error = store.pull(&fake.name("x:1"), &quick(), &Silent).unwrap_err().to_string();
        assert!(error.contains("come back in"), "{error}");
        assert_eq!(fake.log().len(), 1);
    }
}

#[test]
fn a_password_is_shown_at_once_where_it_was_asked_for() {
    let content = Content::new(gzip);
    let fake = Fake::start(move |asked| match asked.headers.get("authorization") {
        Some(header) if header == "Basic bWU6c2VjcmV0" => content.answer(asked),
        _ => reply(401, b"").with("www-authenticate", "Basic realm=\"x\""),
    });
    let mut registries = quick();
    let login = |password: &str| Credentials::Password {
        user: "me".to_owned(),
        password: password.to_owned(),
    };
    let host = fake.name("").replace('/', "");
    registries.logins.add(&host, login("secret"));
    let (_dir, store) = store();
    store.pull(&fake.name("x:1"), &registries, &Silent).unwrap();
    fake.log();
    // The same memory, as in the daemon.
    store.pull(&fake.name("x:1"), &registries, &Silent).unwrap();
    assert_eq!(fake.log(), ["HEAD /v2/x/manifests/1"]);
    registries.logins.add(&host, login("wrong"));
    let error = store.pull(&fake.name("x:1"), &registries, &Silent).unwrap_err().to_string();
    assert!(error.contains("log in again"), "{error}");
}

#[test]
fn a_mirror_does_not_see_the_login_of_the_registry() {
    let content = Content::new(gzip);
    let mirror = Fake::start(|asked| {
        assert!(!asked.headers.contains_key("authorization"));
        reply(401, b"").with("www-authenticate", "Basic realm=\"x\"")
    });
    let origin = Fake::start(move |asked| content.answer(asked));
    let mut registries = quick();
    let host = origin.name("").replace('/', "");
    let login = Credentials::Password { user: "me".to_owned(), password: "secret".to_owned() };
    registries.logins.add(&host, login);
    registries.mirrors.insert(host, vec![format!("http://{}", mirror.name("").replace('/', ""))]);
    let (_dir, store) = store();
    store.pull(&origin.name("x:1"), &registries, &Silent).unwrap();
    assert!(!mirror.log().is_empty());
}

#[test]
fn a_proxy_is_told_which_host_is_meant() {
    let content = Content::new(gzip);
    let proxy = Fake::start(move |asked| {
        // me:secret
        assert_eq!(asked.headers["proxy-authorization"], "Basic bWU6c2VjcmV0");
        assert_eq!(asked.headers["host"], "registry.test");
        let path = asked.path.strip_prefix("http://registry.test").unwrap().to_owned();
        let (method, headers) = (asked.method.clone(), asked.headers.clone());
        content.answer(&Asked { method, path, headers, body: String::new() })
    });
    let mut registries = quick();
    registries.proxies.http = Some(format!("http://me:secret@127.0.0.1:{}", proxy.port));
    let mirror = vec!["http://registry.test".to_owned()];
    registries.mirrors.insert("registry.test".to_owned(), mirror);
    let (_dir, store) = store();
    store.pull("registry.test/x:1", &registries, &Silent).unwrap();
}

#[test]
fn what_does_not_speak_http_is_told() {
    // Something that hangs up, as one that wants TLS may; it has no TLS either.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            drop(stream.unwrap().write_all(b"SSH-2.0-OpenSSH_9.2\r\n"));
        }
    });
    let (_dir, store) = store();
    let error = store.pull(&format!("127.0.0.1:{port}/x:1"), &quick(), &Silent).unwrap_err();
    assert!(matches!(error, crate::image::ImageError::Registry { .. }), "{error}");
}

#[test]
fn an_image_that_is_named_by_its_id_is_not_asked_for() {
    let content = Content::new(gzip);
    let fake = Fake::start(move |asked| content.answer(asked));
    let (_dir, store, image) = pull(&fake).unwrap();
    fake.log();
    for id in [image.id.to_string(), image.id.hex()[..12].to_owned()] {
        assert_eq!(store.pull(&id, &quick(), &Silent).unwrap().id, image.id, "{id}");
    }
    assert_eq!(fake.log(), Vec::<String>::new());
}

#[test]
fn a_platform_is_chosen_by_its_name() {
    let content = Content::new(gzip);
    let ours = digest_of(&content.manifest);
    let platform = |text: &str| text.parse::<Platform>().unwrap();
    let index = json!({"schemaVersion": 2, "manifests": [
        {"mediaType": media::MANIFEST, "digest": digest_of(b"v6"), "size": 1,
         "platform": {"os": "linux", "architecture": "arm", "variant": "v6"}},
        {"mediaType": media::MANIFEST, "digest": ours, "size": 1,
         "platform": {"os": "linux", "architecture": "arm", "variant": "v7"}},
    ]});
    let index: crate::image::document::Index = serde_json::from_value(index).unwrap();
    let choose = |text: &str| {
        crate::image::layout::choose(&index, Some(&platform(text))).map(|e| e.digest.clone())
    };
    assert_eq!(choose("linux/arm/v7"), Some(ours.to_string()));
    assert_eq!(choose("armhf"), Some(ours.to_string()));
    assert_eq!(choose("linux/arm/v6"), Some(digest_of(b"v6").to_string()));
    assert_eq!(choose("linux/amd64"), None);
    assert_eq!(platform("x86_64"), platform("linux/amd64"));
    assert_eq!(platform("linux/arm64").rank(&platform("linux/arm64/v8")), Some(0));
    for bad in ["", "linux/", "windows/amd64", "a/b/c/d", "linux/a b", "../x"] {
        assert!(bad.parse::<Platform>().is_err(), "{bad}");
    }
}

#[test]
fn a_mirror_is_asked_first_and_may_fail() {
    let content = Content::new(gzip);
    let mirrored = content.clone();
    let mirror = Fake::start(move |asked| mirrored.answer(asked));
    let origin = Fake::start(move |asked| content.answer(asked));
    let mut registries = quick();
    let (name, registry) = (origin.name("x:1"), origin.name("").replace('/', ""));
    let broken = "127.0.0.1:1".to_owned();
    registries
        .mirrors
        .insert(registry.clone(), vec![broken.clone(), mirror.name("").replace('/', "")]);
    let (_dir, store) = store();
    let image = store.pull(&name, &registries, &Silent).unwrap();
    assert!(image.references.contains(&name));
    assert_eq!(origin.log(), Vec::<String>::new());
    registries.mirrors.insert(registry, vec![broken]);
    let (_dir, second) = self::store();
    second.pull(&name, &registries, &Silent).unwrap();
}

#[test]
fn many_pulls_of_one_image_fetch_it_once() {
    let content = Content::new(gzip);
    let path = content.layer_path();
    let fake = Fake::start(move |asked| content.answer(asked));
    let dir = tempfile::tempdir().unwrap();
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let store = Store::open(dir.path()).unwrap();
                store.pull(&fake.name("x:1"), &Registries::default(), &Silent).unwrap();
            });
        }
    });
    let whole = format!("GET {path}");
    assert_eq!(fake.log().iter().filter(|line| **line == whole).count(), 1);
}

#[test]
fn a_pull_can_be_given_up_from_anywhere() {
    struct Impatient(AtomicBool);
    impl Watcher for Impatient {
        fn progress(&self, progress: Progress) {
            if matches!(progress, Progress::Moved { .. }) {
                self.0.store(true, Ordering::Relaxed);
            }
        }

        fn cancelled(&self) -> bool {
            self.0.load(Ordering::Relaxed)
        }
    }
    let content = Content::new(gzip);
    let fake = Fake::start(move |asked| content.answer(asked));
    let (dir, store) = store();
    let watcher = Impatient(AtomicBool::new(false));
    store.pull(&fake.name("x:1"), &quick(), &watcher).unwrap_err();
    assert_eq!(std::fs::read_dir(dir.path().join("images/staging")).unwrap().count(), 0);
    // Also from a thread of the daemon's runtime that may wait.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let name = fake.name("x:1");
    let work = move || store.pull(&name, &quick(), &Silent).map(drop).map_err(|e| e.to_string());
    runtime.block_on(async { tokio::task::spawn_blocking(work).await }).unwrap().unwrap();
}

#[test]
fn a_pull_that_hangs_ends_when_nobody_wants_it_any_more() {
    struct Gone(AtomicBool);
    impl Watcher for Gone {
        fn progress(&self, _progress: Progress) {}

        fn cancelled(&self) -> bool {
            self.0.load(Ordering::Relaxed)
        }
    }
    let content = Content::new(gzip);
    let layer = content.layer_path();
    // Nothing comes: neither the answer's head, nor its body, nor the whole body.
    type Hang = fn(&Asked, &str, Reply) -> Reply;
    let hangs: [Hang; 3] = [
        |_, _, reply| Reply { silent: true, ..reply },
        |asked, layer, reply| Reply { silent: asked.path == layer, ..reply },
        |asked, layer, mut reply| {
            reply.hang = asked.path == layer;
            reply.announced = reply.hang.then_some(reply.body.len());
            reply.body.truncate(if reply.hang { 10 } else { usize::MAX });
            reply
        },
    ];
    for hang in hangs {
        let (content, layer) = (content.clone(), layer.clone());
        let fake = Fake::start(move |asked| hang(asked, &layer, content.answer(asked)));
        let (_dir, store) = store();
        let watcher = Gone(AtomicBool::new(false));
        let (done, ended) = std::sync::mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(|| {
                // With the patience of a user: an answer may take a minute.
                let pulled = store.pull(&fake.name("x:1"), &Registries::default(), &watcher);
                done.send(pulled.map(drop).map_err(|error| error.to_string())).unwrap();
            });
            while fake.log().is_empty() {
                thread::sleep(Duration::from_millis(5));
            }
            watcher.0.store(true, Ordering::Relaxed);
            let ended = ended.recv_timeout(Duration::from_secs(10)).expect("it goes on");
            assert!(ended.is_err());
        });
    }
}

#[test]
fn a_registry_that_drips_is_not_waited_for() {
    for part in ["/v2/x/manifests/1", "layer"] {
        let content = Content::new(gzip);
        let fake = Fake::start(move |asked| {
            let drips =
                asked.path == part || (part == "layer" && asked.path == content.layer_path());
            let drip = drips.then_some(Duration::from_millis(20));
            Reply { drip, ..content.answer(asked) }
        });
        let (_dir, store) = store();
        let registries = Registries {
            timeouts: Timeouts { retries: 0, ..quick().timeouts },
            ..Registries::default()
        };
        let error = store.pull(&fake.name("x:1"), &registries, &Silent).unwrap_err();
        let said = format!("{error}: {:?}", std::error::Error::source(&error));
        assert!(said.contains("bytes came in"), "{said}");
    }
}

#[test]
fn a_token_that_runs_out_in_the_middle_is_fetched_anew() {
    let content = Content::new(gzip);
    let given = Arc::new(AtomicUsize::new(0));
    let count = given.clone();
    let tokens = Fake::start(move |_| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        reply(200, format!(r#"{{"token":"t{number}","expires_in":3600}}"#).as_bytes())
    });
    let realm = format!("http://127.0.0.1:{}/token", tokens.port);
    // Each opens the door for one request.
    let spent = Mutex::new(std::collections::BTreeSet::new());
    let fake = Fake::start(move |asked| {
        let shown = asked.headers.get("authorization").cloned().unwrap_or_default();
        if !shown.starts_with("Bearer t") || !locked(&spent).insert(shown) {
            let challenge = format!(r#"Bearer realm="{realm}",service="fake""#);
            return reply(401, b"").with("www-authenticate", &challenge);
        }
        content.answer(asked)
    });
    pull(&fake).unwrap();
    assert_eq!(given.load(Ordering::Relaxed), 3, "for the manifest, configuration and layer");
}

#[test]
fn a_registry_that_never_has_enough_of_tokens_is_given_up() {
    let tokens = Fake::start(|_| reply(200, br#"{"token":"t"}"#));
    let realm = format!("http://127.0.0.1:{}/token", tokens.port);
    let fake = Fake::start(move |_| {
        let challenge = format!(r#"Bearer realm="{realm}",service="fake""#);
        reply(401, b"").with("www-authenticate", &challenge)
    });
    let (_dir, store) = store();
    let error = store.pull(&fake.name("x:1"), &quick(), &Silent).unwrap_err().to_string();
    assert!(error.contains("orca login"), "{error}");
    assert!(fake.log().len() <= 2 && tokens.log().len() <= 2);
}

#[test]
fn a_registry_may_be_an_address_of_ipv6() {
    let content = Content::new(gzip);
    let fake = Fake::at("::1", move |asked| {
        assert!(asked.headers["host"].starts_with("[::1]:"));
        content.answer(asked)
    });
    let (_dir, store) = store();
    let name = format!("[::1]:{}/x:1", fake.port);
    let image = store.pull(&name, &quick(), &Silent).unwrap();
    assert_eq!(image.references, [name]);
}

#[test]
fn an_identity_token_is_exchanged_for_one_of_the_registry() {
    let content = Content::new(gzip);
    let tokens = Fake::start(|asked| {
        assert_eq!(asked.method, "POST");
        let form = "grant_type=refresh_token&client_id=orca&service=fake\
                    &scope=repository%3Ax%3Apull&refresh_token=very%2Fsecret%3D";
        assert_eq!(asked.body, form);
        assert_eq!(asked.headers["content-type"], "application/x-www-form-urlencoded");
        assert!(!asked.headers.contains_key("authorization"));
        reply(200, br#"{"access_token":"abc"}"#)
    });
    let realm = format!("http://127.0.0.1:{}/token", tokens.port);
    let fake = Fake::start(move |asked| {
        if asked.headers.get("authorization").is_none_or(|header| header != "Bearer abc") {
            let challenge = format!(r#"Bearer realm="{realm}",service="fake""#);
            return reply(401, b"").with("www-authenticate", &challenge);
        }
        content.answer(asked)
    });
    let mut registries = quick();
    let login = Credentials::Identity("very/secret=".to_owned());
    registries.logins.add(&fake.name("").replace('/', ""), login);
    let (_dir, store) = store();
    store.pull(&fake.name("x:1"), &registries, &Silent).unwrap();
    assert_eq!(tokens.log().len(), 1);
}

#[test]
fn indexes_may_say_little_but_not_go_on_for_ever() {
    let content = Content::new(gzip);
    let index = |digest: &Digest, kind: &str| {
        let entry = json!({"mediaType": kind, "digest": digest, "size": 1});
        serde_json::to_vec(&json!({"schemaVersion": 2, "manifests": [entry]})).unwrap()
    };
    let serve = |top: Vec<u8>, inner: Vec<Vec<u8>>, content: Content| {
        move |asked: &Asked| {
            let wanted = asked.path.strip_prefix("/v2/x/manifests/").unwrap_or_default();
            let found = inner.iter().find(|index| digest_of(index).as_str() == wanted);
            match found.or((wanted == "1").then_some(&top)) {
                Some(index) => reply(200, index)
                    .with("content-type", media::INDEX)
                    .with("docker-content-digest", digest_of(index).as_str()),
                None => content.answer(asked),
            }
        }
    };
    // Without a platform, in one more index.
    let one = index(&digest_of(&content.manifest), media::MANIFEST);
    let two = index(&digest_of(&one), media::INDEX);
    let fake = Fake::start(serve(two.clone(), vec![one.clone()], content.clone()));
    pull(&fake).unwrap();
    let mut all = vec![one, two];
    for _ in 0..5 {
        all.push(index(&digest_of(all.last().unwrap()), media::INDEX));
    }
    let top = all.last().unwrap().clone();
    refused(serve(top, all, content), "an index in an index");
    refused(|_: &Asked| reply(200, br#"{"schemaVersion":2,"manifests":[]}"#), "");
}
