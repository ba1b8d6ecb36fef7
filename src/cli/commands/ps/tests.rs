use super::*;
use crate::cli::tests_support::task;
use crate::model::{Protocol, Publication};

fn web() -> TaskStatus {
    let mut web = task("web", 1, TaskState::Running);
    web.running_for = Some(Duration::from_secs(120));
    web.health = Health::Healthy;
    web.pid = Some(4711);
    web.addresses.insert("shop_default".to_owned(), "10.0.0.2".parse().unwrap());
    web.publications = vec![Publication {
        host_ip: Some("127.0.0.1".parse().unwrap()),
        host_port: 8080,
        protocol: Protocol::Tcp,
        backends: vec![("10.0.0.2".parse().unwrap(), 80)],
        owner: "shop/web".to_owned(),
    }];
    web
}

fn now() -> Timestamp {
    Timestamp(Duration::from_secs(7200))
}

#[test]
fn the_table_looks_like_docker_composes() {
    let mut setup = task("setup", 1, TaskState::Failed);
    setup.exit_code = Some(3);
    setup.reason = Some("exited with status 3".to_owned());
    insta::assert_snapshot!(table(&[&web(), &setup], now(), false), @r#"
    NAME           IMAGE     COMMAND                  SERVICE   CREATED       STATUS                   PORTS
    shop-web-1     web:1     "/bin/web --listen 0…"   web       2 hours ago   Up 2 minutes (healthy)   127.0.0.1:8080->80/tcp
    shop-setup-1   setup:1   "/bin/setup --listen…"   setup     2 hours ago   Exited (3)
    "#);
}

#[test]
fn json_has_docker_composes_words_and_ours() {
    let web = web();
    let mut row = serde_json::to_value(Row::of(&web, now())).unwrap();
    row["ID"] = "ID".into();
    row["CreatedAt"] = "CREATED".into();
    row["Task"] = "TASK".into();
    insta::assert_snapshot!(serde_json::to_string_pretty(&row).unwrap(), @r#"
    {
      "ID": "ID",
      "Name": "shop-web-1",
      "Names": "shop-web-1",
      "Service": "web",
      "Project": "shop",
      "Image": "web:1",
      "Command": "\"/bin/web --listen 0.0.0.0:80\"",
      "CreatedAt": "CREATED",
      "RunningFor": "2 hours ago",
      "State": "running",
      "Status": "Up 2 minutes (healthy)",
      "Health": "healthy",
      "ExitCode": 0,
      "Publishers": [
        {
          "URL": "127.0.0.1",
          "TargetPort": 80,
          "PublishedPort": 8080,
          "Protocol": "tcp"
        }
      ],
      "Ports": "127.0.0.1:8080->80/tcp",
      "Networks": "shop_default",
      "Labels": "",
      "Slot": 1,
      "Task": "TASK",
      "Attempt": 1,
      "Phase": "running",
      "Reason": null,
      "OomKilled": false,
      "Restarts": 0,
      "Revision": "r1",
      "Pid": 4711,
      "Addresses": {
        "shop_default": "10.0.0.2"
      },
      "HostUsers": null
    }
    "#);
}

#[test]
fn a_program_that_runs_has_not_failed_before() {
    let mut web = web();
    web.exit_code = Some(1);
    assert_eq!(Row::of(&web, now()).exit_code, 0);
    web.state = TaskState::Restarting;
    assert_eq!(Row::of(&web, now()).exit_code, 1);
}

#[test]
fn filters_are_checked_and_applied() {
    let web = web();
    let check = |text: &str| Filter::new(text).map(|filter| filter.lets(&web)).map_err(|e| e.code);
    assert_eq!(check("status=running"), Ok(true));
    assert_eq!(check("status=exited"), Ok(false));
    assert_eq!(check("health=healthy"), Ok(true));
    assert_eq!(check("name=web"), Ok(true));
    assert_eq!(check("status=asleep"), Err(2));
    assert_eq!(check("colour=red"), Err(2));
    assert_eq!(check("nonsense"), Err(2));
}
