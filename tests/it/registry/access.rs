//! Who may enter, over what, and on which way.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};

use crate::support::Orca;

use super::commands::publish;
use super::server::Registry;
use super::token::Tokens;

/// Puts certificates where the daemon looks for them.
fn trust(orca: &Orca, host: &str, registry: &Registry) {
    let dir = orca.files().join("config/certs.d").join(host);
    fs::create_dir_all(&dir).unwrap();
    fs::copy(registry.ca(), dir.join("ca.crt")).unwrap();
}

fn log_in(orca: &Orca, host: &str, password: &str) -> crate::support::Ran {
    orca.run_with_input(&["login", "-u", "me", "--password-stdin", host], password)
}

#[test]
fn a_login_opens_an_encrypted_registry() {
    let registry = Registry::with_password_and_tls();
    let orca = Orca::new().with_busybox();
    let (host, name) = (registry.host(), registry.name("shop/web:1"));
    // Nobody knows the authority yet.
    let ran = log_in(&orca, &host, "secret\n").expect(1);
    assert!(ran.stderr.contains("certs.d"), "{}", ran.stderr);
    trust(&orca, &host, &registry);
    let ran = log_in(&orca, &host, "wrong\n").expect(1);
    assert!(ran.stderr.contains("does not accept"), "{}", ran.stderr);
    let file = orca.files().join("docker/config.json");
    assert!(!file.exists(), "a login that does not work is not kept");
    let ran = log_in(&orca, &format!("https://{host}/v2/"), "secret\n").expect(0);
    assert!(ran.stdout.contains("logged in"), "{}", ran.stdout);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let kept: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    // me:secret
    assert_eq!(kept["auths"][&host]["auth"], "bWU6c2VjcmV0");
    publish(&orca, &name);
    let stack = format!(
        "name: s\nservices:\n  web:\n    image: {name}\n    command: [sleep, inf]\n    stop_grace_period: 0s\n"
    );
    orca.up(&stack);
    // Without the login: what is here goes on, and nothing more comes.
    orca.ok(&["logout", &host]);
    orca.up(&stack);
    let ran = orca.run(&["image", "pull", &name]).expect(1);
    assert!(ran.stderr.contains(&format!("orca login {host}")), "{}", ran.stderr);
    let ran = orca.run(&["logout", &host]).expect(0);
    assert!(ran.stdout.contains("there was no login"), "{}", ran.stdout);
    // Whom docker's configuration leaves to a program is named with it.
    fs::write(&file, format!(r#"{{"credHelpers": {{"{host}": "vault"}}}}"#)).unwrap();
    let ran = orca.run(&["image", "pull", &name]).expect(1);
    assert!(ran.stderr.contains("docker-credential-vault"), "{}", ran.stderr);
    let ran = log_in(&orca, &host, "secret").expect(0);
    assert!(ran.stderr.contains("docker-credential-vault"), "{}", ran.stderr);
    orca.ok(&["image", "pull", &name]);
    // No secret is in the daemon's log.
    let log = fs::read_to_string(orca.run_dir().join("daemon.log")).unwrap();
    assert!(!log.contains("secret") && !log.contains("bWU6c2VjcmV0"));
}

#[test]
fn a_login_wants_a_name_and_a_password() {
    let orca = Orca::new();
    for (args, said) in [
        (&["login", "--password-stdin", "x:1"][..], "--username"),
        (&["login", "-u", "me", "x:1"], "no terminal"),
        (&["login", "x:1"], "no terminal"),
        (&["login", "-u", "a:b", "-p", "x", "x:1"], "cannot contain"),
        (&["login", "-u", "me", "-p", "x", "a b"], "is no registry"),
    ] {
        let ran = orca.run(args).expect(2);
        assert!(ran.stderr.contains(said), "{}", ran.stderr);
    }
    let ran =
        orca.run_with_input(&["login", "-u", "me", "--password-stdin", "x:1"], "\n").expect(2);
    assert!(ran.stderr.contains("needs a user name and a password"), "{}", ran.stderr);
    // Docker's file is told of when it makes no sense, before anything else.
    orca.write("docker/config.json", "{]");
    let ran = orca.run(&["login", "-u", "me", "-p", "x", "x:1"]).expect(2);
    assert!(ran.stderr.contains("config.json"), "{}", ran.stderr);
}

#[test]
fn a_registry_may_want_a_certificate_of_the_caller() {
    let registry = Registry::with_client_certificates();
    let orca = Orca::new().with_busybox();
    let host = registry.host();
    trust(&orca, &host, &registry);
    let name = registry.name("x:1");
    orca.ok(&["image", "tag", "busybox", &name]);
    let ran = orca.run(&["image", "push", &name]).expect(1);
    assert!(ran.stderr.contains("certificate"), "{}", ran.stderr);
    let (certificate, key) = registry.client();
    let dir = orca.files().join("config/certs.d").join(&host);
    fs::copy(certificate, dir.join("client.cert")).unwrap();
    // Half of it is a mistake that is told.
    let ran = orca.run(&["image", "push", &name]).expect(1);
    assert!(ran.stderr.contains("client.key"), "{}", ran.stderr);
    fs::copy(key, dir.join("client.key")).unwrap();
    orca.ok(&["image", "push", &name]);
    orca.ok(&["image", "pull", &name]);
}

#[test]
fn an_insecure_registry_is_believed_when_it_is_listed() {
    let registry = Registry::with_password_and_tls();
    let orca = Orca::new().with_busybox();
    let host = registry.host();
    log_in(&orca, &host, "secret").expect(1);
    let list = format!(r#"{{"insecure-registries": ["{host}"]}}"#);
    orca.write("config/registries.json", &list);
    log_in(&orca, &host, "secret").expect(0);
    publish(&orca, &registry.name("x:1"));
    orca.write("config/registries.json", r#"{"insecure": []}"#);
    let ran = orca.run(&["image", "pull", &registry.name("x:1")]).expect(2);
    assert!(ran.stderr.contains("unknown field `insecure`"), "{}", ran.stderr);
}

#[test]
fn a_token_server_opens_a_registry() {
    let tokens = Tokens::start();
    let registry = Registry::with_tokens(&tokens.realm(), &tokens.certificate());
    let orca = Orca::new().with_busybox();
    let (host, name) = (registry.host(), registry.name("shop/web:1"));
    orca.ok(&["image", "tag", "busybox", &name]);
    orca.run(&["image", "push", &name]).expect(1);
    let ran = log_in(&orca, &host, "wrong").expect(1);
    assert!(ran.stderr.contains("does not accept the name and password"), "{}", ran.stderr);
    log_in(&orca, &host, "secret").expect(0);
    orca.ok(&["image", "push", &name]);
    orca.ok(&["image", "rm", &name]);
    tokens.asked();
    orca.ok(&["image", "pull", &name]);
    orca.ok(&["image", "pull", &name]);
    let asked = tokens.asked();
    // For all layers and both pulls: the token lasts.
    assert_eq!(asked, ["repository:shop/web:pull"]);
    // To another repository the layers are taken over, which needs a token for both.
    let other = registry.name("other/web:1");
    orca.ok(&["image", "tag", &name, &other]);
    let said = orca.ok(&["image", "push", &other]);
    assert!(said.contains("exists"), "{said}");
    assert_eq!(tokens.asked(), ["repository:other/web:pull,push repository:shop/web:pull"]);
    orca.ok(&["image", "pull", &other]);
}

#[test]
fn a_mirror_is_asked_before_the_registry() {
    let mirror = Registry::start();
    let orca = Orca::new().with_busybox();
    publish(&orca, &mirror.name("shop/web:1"));
    let list =
        format!(r#"{{"registry-mirrors": {{"registry.test": ["http://{}"]}}}}"#, mirror.host());
    orca.write("config/registries.json", &list);
    orca.ok(&["image", "pull", "registry.test/shop/web:1"]);
    assert!(orca.ok(&["image", "ls"]).contains("registry.test/shop/web"));
}

#[test]
fn a_proxy_leads_to_a_registry() {
    let registry = Registry::with_password_and_tls();
    let proxy = Proxy::start(registry.port);
    let orca = Orca::new();
    let host = format!("registry.test:{}", registry.port);
    orca.write(
        "config/registries.json",
        &format!(
            r#"{{"proxies": {{"https-proxy": "http://user:p%40ss@127.0.0.1:{}"}}}}"#,
            proxy.port
        ),
    );
    let orca = orca.with_busybox();
    trust(&orca, &host, &registry);
    log_in(&orca, &host, "secret").expect(0);
    publish(&orca, &format!("{host}/x:1"));
    orca.ok(&["image", "pull", &format!("{host}/x:1")]);
    let seen = proxy.seen.lock().unwrap().clone();
    assert!(seen.len() > 2, "{seen:?}");
    for head in &seen {
        assert!(head.starts_with(&format!("CONNECT {host} HTTP/1.1\r\n")), "{head}");
        // user:p@ss
        assert!(head.contains("Proxy-Authorization: Basic dXNlcjpwQHNz\r\n"), "{head}");
    }
}

#[test]
fn a_registry_elsewhere_without_encryption_must_be_listed() {
    let registry = Registry::start();
    // So that it is elsewhere.
    let proxy = Proxy::start(registry.port);
    let orca = Orca::new();
    let host = format!("registry.test:{}", registry.port);
    let proxies =
        format!(r#"{{"http-proxy": "127.0.0.1:{0}", "https-proxy": "127.0.0.1:{0}"}}"#, proxy.port);
    orca.write("config/registries.json", &format!(r#"{{"proxies": {proxies}}}"#));
    let orca = orca.with_busybox();
    let name = format!("{host}/x:1");
    orca.ok(&["image", "tag", "busybox", &name]);
    let ran = orca.run(&["image", "push", &name]).expect(1);
    assert!(ran.stderr.contains("does not speak TLS"), "{}", ran.stderr);
    assert!(ran.stderr.contains("insecure-registries"), "{}", ran.stderr);
    let list = format!(r#"{{"proxies": {proxies}, "insecure-registries": ["{host}"]}}"#);
    orca.write("config/registries.json", &list);
    publish(&orca, &name);
    orca.ok(&["image", "pull", &name]);
}

/// A proxy that leads everybody to one port.
struct Proxy {
    port: u16,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn start(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let heads = seen.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, heads) = (stream.unwrap(), heads.clone());
                std::thread::spawn(move || lead(stream, to, &heads));
            }
        });
        Self { port, seen }
    }
}

fn lead(mut from: TcpStream, to: u16, heads: &Mutex<Vec<String>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if from.read(&mut byte).unwrap_or(0) == 0 {
            return;
        }
        head.push(byte[0]);
    }
    let mut there = TcpStream::connect(("127.0.0.1", to)).unwrap();
    if head.starts_with(b"CONNECT ") {
        from.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").unwrap();
    } else {
        // A server understands what is meant for a proxy, too.
        there.write_all(&head).unwrap();
    }
    heads.lock().unwrap().push(String::from_utf8(head).unwrap());
    let (mut from_copy, mut there_copy) = (from.try_clone().unwrap(), there.try_clone().unwrap());
    let back = std::thread::spawn(move || {
        drop(std::io::copy(&mut there_copy, &mut from_copy));
        drop(from_copy.shutdown(std::net::Shutdown::Both));
    });
    drop(std::io::copy(&mut from, &mut there));
    drop(there.shutdown(std::net::Shutdown::Both));
    back.join().unwrap();
}
