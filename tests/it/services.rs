//! Real software from Debian packages: nginx in front of a program in front of redis, and PostgreSQL.

use super::support::{Orca, curl, eventually, free_port};

const STACK: &str = r#"name: real
services:
  proxy:
    image: debian-services
    command: [nginx, -g, 'daemon off;']
    ports: ['PORT:80']
    configs:
      - source: nginx
        target: /etc/nginx/nginx.conf
    depends_on:
      app: {condition: service_healthy}
    healthcheck:
      test: [HTTP, 'http://:80/health']
      interval: 1s
  app:
    image: debian-services
    command: busybox httpd -f -p 8000 -h /www
    configs:
      - source: hit
        target: /www/cgi-bin/hit
        mode: 0755
    depends_on:
      redis: {condition: service_healthy}
    healthcheck:
      test: [TCP, '8000']
      interval: 1s
  redis:
    image: debian-services
    command: redis-server --bind 0.0.0.0 --protected-mode no --dir /var/lib/redis --appendonly yes
    user: redis
    volumes: [data:/var/lib/redis]
    healthcheck:
      test: [CMD, redis-cli, ping]
      interval: 1s
configs:
  hit:
    content: |
      #!/bin/sh
      echo 'Content-Type: text/plain'
      echo
      redis-cli -h redis incr hits
  nginx:
    content: |
      events {}
      http {
        server {
          listen 80;
          location / { proxy_pass http://app:8000/cgi-bin/hit; }
          location /health { return 200 'ok'; }
        }
      }
volumes:
  data: {}
"#;

#[test]
fn nginx_an_app_and_redis_come_up_healthy_and_keep_their_data() {
    let orca = Orca::new().with_services();
    let port = free_port();
    orca.up(&STACK.replace("PORT", &port.to_string()));
    for name in ["real-proxy-1", "real-app-1", "real-redis-1"] {
        assert_eq!(orca.container(name)["Health"], "healthy", "{name}");
    }
    let hit = || -> Option<u32> { curl(&format!("http://127.0.0.1:{port}/"))?.trim().parse().ok() };
    let first = eventually("the app answers through nginx", hit);
    let second = eventually("it answers again", hit);
    assert!(second > first, "redis counts: {first} then {second}");

    orca.ok(&["down", "-f", "stack.yaml"]);
    orca.ok(&["up", "-f", "stack.yaml"]);
    let third = eventually("it answers after down and up", hit);
    assert!(third > second, "the data was kept: {second} then {third}");
}

#[test]
fn postgresql_starts_from_an_empty_volume_and_answers() {
    let orca = Orca::new().with_services();
    orca.up(
        "name: pg
services:
  db:
    image: debian-services
    user: postgres
    environment:
      PATH: /usr/lib/postgresql/15/bin:/usr/bin:/bin
    command:
      - sh
      - -c
      - |
        [ -e /var/lib/postgresql/data/PG_VERSION ] || initdb -D /var/lib/postgresql/data -A trust >/dev/null
        exec postgres -D /var/lib/postgresql/data -c listen_addresses='*' -k /tmp
    volumes: [db:/var/lib/postgresql]
    stop_signal: SIGINT
    shm_size: 128m
    healthcheck:
      test: [CMD, pg_isready, -h, 127.0.0.1]
      interval: 1s
      start_period: 60s
      start_interval: 500ms
volumes:
  db: {}
",
    );
    assert_eq!(orca.container("pg-db-1")["Health"], "healthy");
    let sql = |text: &str| {
        orca.ok(&["exec", "-T", "-f", "stack.yaml", "db", "psql", "-h", "/tmp", "-tAc", text])
    };
    sql("create table t(x int); insert into t values (41), (1);");
    assert_eq!(sql("select sum(x) from t").trim(), "42");
}
