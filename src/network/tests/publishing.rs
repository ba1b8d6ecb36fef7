//! Published ports and those who answer there.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use super::host::*;
use crate::model::{Protocol, TaskId};

async fn publish(host: &Host, protocol: Protocol, backends: &[&str]) {
    host.networks.apply(&table(vec![published(8080, protocol, backends)])).await.unwrap();
}

#[test]
fn a_port_without_backends_refuses_at_once() {
    for bridged_frames in [true, false] {
        on_a_host(bridged_frames, async |host| {
            publish(&host, Protocol::Tcp, &[]).await;
            let task = host.sandbox(1, "front", "10.1.0.2").await;
            let outside = host.outside();
            let clients = [
                (None, "127.0.0.1:8080"),
                (None, "198.51.100.1:8080"),
                (Some(outside.as_path()), "198.51.100.1:8080"),
                (Some(task.as_path()), "10.1.0.1:8080"),
            ];
            for (from, address) in clients {
                let start = Instant::now();
                let error = ask(from, address, PATIENCE).unwrap_err();
                assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused, "{address}");
                assert!(start.elapsed() < PATIENCE / 5, "{address}");
            }
        });
    }
}

#[test]
fn a_datagram_port_without_backends_refuses_at_once() {
    on_a_host(true, async |host| {
        publish(&host, Protocol::Udp, &[]).await;
        for from in [None, Some(host.outside())] {
            let client = datagram_client(from.as_deref(), "198.51.100.1:8080");
            let start = Instant::now();
            let error = ask_datagram(&client, PATIENCE).unwrap_err();
            // The host itself may not even send.
            let expected = match from {
                None => std::io::ErrorKind::PermissionDenied,
                Some(_) => std::io::ErrorKind::ConnectionRefused,
            };
            assert_eq!(error.kind(), expected, "{from:?}");
            assert!(start.elapsed() < PATIENCE / 5, "{from:?}");
        }
    });
}

#[test]
fn connections_go_to_all_backends() {
    on_a_host(true, async |host| {
        publish(&host, Protocol::Tcp, &["10.1.0.2:80", "10.1.0.3:81", "10.2.0.2:80"]).await;
        let one = host.sandbox(1, "front", "10.1.0.2").await;
        let two = host.sandbox(2, "front", "10.1.0.3").await;
        let three = host.sandbox(3, "other", "10.2.0.2").await;
        let _servers = [
            Server::tcp(Some(&one), "0.0.0.0:80", "one"),
            Server::tcp(Some(&two), "0.0.0.0:81", "two"),
            Server::tcp(Some(&three), "0.0.0.0:80", "three"),
        ];
        for from in [None, Some(host.outside()), Some(one.clone())] {
            let answers: BTreeSet<String> = (0..60)
                .map(|_| ask(from.as_deref(), "198.51.100.1:8080", PATIENCE).unwrap())
                .map(|answer| answer.split(' ').next().unwrap().to_owned())
                .collect();
            assert_eq!(answers.len(), 3, "{from:?}: {answers:?}");
        }
    });
}

#[test]
fn no_connection_is_lost_while_backends_change() {
    on_a_host(true, async |host| {
        let sets: [&[&str]; 3] =
            [&["10.1.0.2:80"], &["10.1.0.2:80", "10.1.0.3:80"], &["10.1.0.3:80"]];
        publish(&host, Protocol::Tcp, sets[0]).await;
        let one = host.sandbox(1, "front", "10.1.0.2").await;
        let two = host.sandbox(2, "front", "10.1.0.3").await;
        let _servers = [
            Server::tcp(Some(&one), "0.0.0.0:80", "one"),
            Server::tcp(Some(&two), "0.0.0.0:80", "two"),
        ];
        let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let clients: Vec<_> = [None, Some(host.outside())]
            .into_iter()
            .map(|from| {
                let (stop, count) = (Arc::clone(&stop), Arc::clone(&count));
                std::thread::spawn(move || {
                    while !stop.load(Ordering::SeqCst) {
                        ask(from.as_deref(), "198.51.100.1:8080", PATIENCE).unwrap();
                        count.fetch_add(1, Ordering::SeqCst);
                    }
                })
            })
            .collect();
        for set in sets.iter().cycle().take(90) {
            publish(&host, Protocol::Tcp, set).await;
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        stop.store(true, Ordering::SeqCst);
        for client in clients {
            client.join().expect("no connection failed");
        }
        assert!(count.load(Ordering::SeqCst) > 90);
    });
}

#[test]
fn a_client_that_goes_on_sending_finds_the_new_backend() {
    on_a_host(true, async |host| {
        publish(&host, Protocol::Udp, &["10.1.0.2:80"]).await;
        let one = host.sandbox(1, "front", "10.1.0.2").await;
        let two = host.sandbox(2, "front", "10.1.0.3").await;
        let first = Server::udp(Some(&one), "0.0.0.0:80", "one");
        let _second = Server::udp(Some(&two), "0.0.0.0:80", "two");
        let client = datagram_client(Some(&host.outside()), "198.51.100.1:8080");
        assert_eq!(ask_datagram(&client, PATIENCE).unwrap(), "one 198.51.100.9");

        publish(&host, Protocol::Udp, &["10.1.0.3:80"]).await;
        assert_eq!(ask_datagram(&client, PATIENCE).unwrap(), "one 198.51.100.9", "it stays");

        drop(first);
        host.networks.remove_sandbox(TaskId(1)).await.unwrap();
        host.networks.forget_connections("10.1.0.2".parse().unwrap()).await.unwrap();
        assert_eq!(ask_datagram(&client, PATIENCE).unwrap(), "two 198.51.100.9");
    });
}

#[test]
fn a_client_that_sent_before_the_port_was_published_is_answered() {
    on_a_host(true, async |host| {
        host.networks.apply(&table(Vec::new())).await.unwrap();
        let task = host.sandbox(1, "front", "10.1.0.2").await;
        let _server = Server::udp(Some(&task), "0.0.0.0:80", "web");
        let _holder = Server::udp(None, "198.51.100.1:8080", "the holder of the port");
        let client = datagram_client(Some(&host.outside()), "198.51.100.1:8080");
        assert_eq!(ask_datagram(&client, PATIENCE).unwrap(), "the holder of the port 198.51.100.9");
        publish(&host, Protocol::Udp, &["10.1.0.2:80"]).await;
        assert_eq!(ask_datagram(&client, PATIENCE).unwrap(), "web 198.51.100.9");
    });
}

#[test]
fn a_port_that_is_no_longer_published_is_free() {
    on_a_host(true, async |host| {
        publish(&host, Protocol::Tcp, &["10.1.0.2:80"]).await;
        host.networks.apply(&table(Vec::new())).await.unwrap();
        let _server = Server::tcp(None, "0.0.0.0:8080", "host");
        let answer = ask(Some(&host.outside()), "198.51.100.1:8080", PATIENCE);
        assert_eq!(answer.unwrap(), "host 198.51.100.9");
    });
}

#[test]
fn other_loopback_addresses_keep_their_ports() {
    on_a_host(true, async |host| {
        publish(&host, Protocol::Tcp, &[]).await;
        let _stub = Server::tcp(None, "127.0.0.53:8080", "stub");
        assert_eq!(ask(None, "127.0.0.53:8080", PATIENCE).unwrap(), "stub 127.0.0.1");
    });
}
