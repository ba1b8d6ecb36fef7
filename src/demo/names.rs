//! The addresses of a name, as a program in the container finds them: `/etc/hosts`, then the name
//! servers of `/etc/resolv.conf`. The static C library cannot be trusted to do this by itself.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// How long one server may take, and how many of them are asked, as in the C library.
const PATIENCE: Duration = Duration::from_secs(5);
const MAX_SERVERS: usize = 3;

/// Where names are looked up.
#[derive(Debug, Clone)]
pub(super) struct Names {
    pub(super) hosts: PathBuf,
    pub(super) resolv_conf: PathBuf,
    /// The port of the name servers.
    pub(super) port: u16,
}

impl Default for Names {
    fn default() -> Self {
        Self { hosts: "/etc/hosts".into(), resolv_conf: "/etc/resolv.conf".into(), port: 53 }
    }
}

/// What `/etc/resolv.conf` says (resolv.conf(5)).
#[derive(Debug, PartialEq, Eq)]
struct Conf {
    servers: Vec<IpAddr>,
    search: Vec<String>,
    /// A name with so many dots is first looked up as it is.
    ndots: usize,
}

impl Names {
    /// The IPv4 addresses of `host`, or itself if it is an address.
    ///
    /// # Errors
    /// A sentence that says why there are none.
    pub(super) async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        let listed = in_hosts(&read(&self.hosts), host);
        if !listed.is_empty() {
            return Ok(listed);
        }
        let conf = conf(&read(&self.resolv_conf));
        let mut why = format!("there is no host `{host}`");
        for name in candidates(host, &conf) {
            match self.ask(&name, &conf.servers).await {
                Ok(addresses) if !addresses.is_empty() => return Ok(addresses),
                Ok(_) => {}
                Err(error) => why = format!("cannot find the host `{host}`: {error}"),
            }
        }
        Err(why)
    }

    /// The addresses of `name` from the first server that knows whether it has any.
    async fn ask(&self, name: &str, servers: &[IpAddr]) -> io::Result<Vec<IpAddr>> {
        let mut error = io::Error::other("no name server answers");
        for server in servers {
            match timeout(PATIENCE, ask(name, SocketAddr::new(*server, self.port))).await {
                Ok(Ok(addresses)) => return Ok(addresses),
                Ok(Err(problem)) => error = problem,
                Err(_) => {}
            }
        }
        Err(error)
    }
}

fn read(path: &Path) -> String {
    std::fs::read(path).map(|text| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default()
}

fn in_hosts(text: &str, host: &str) -> Vec<IpAddr> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split('#').next()?.split_whitespace();
            let address = words.next()?.parse().ok()?;
            words.any(|name| name.eq_ignore_ascii_case(host)).then_some(address)
        })
        .collect()
}

fn conf(text: &str) -> Conf {
    let mut conf = Conf { servers: Vec::new(), search: Vec::new(), ndots: 1 };
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") => {
                conf.servers.extend(words.next().and_then(|w| w.parse::<IpAddr>().ok()));
            }
            Some("search") => conf.search = words.map(str::to_owned).collect(),
            Some("options") => {
                let mut ndots = words.filter_map(|word| word.strip_prefix("ndots:")?.parse().ok());
                conf.ndots = ndots.next_back().unwrap_or(conf.ndots);
            }
            _ => {}
        }
    }
    if conf.servers.is_empty() {
        conf.servers.push(Ipv4Addr::LOCALHOST.into());
    }
    conf.servers.truncate(MAX_SERVERS);
    conf
}

/// The names to look up for `host`, in order.
fn candidates(host: &str, conf: &Conf) -> Vec<String> {
    if let Some(whole) = host.strip_suffix('.') {
        return vec![whole.to_owned()];
    }
    let mut names: Vec<_> =
        conf.search.iter().map(|domain| format!("{host}.{}", domain.trim_matches('.'))).collect();
    let dots = host.matches('.').count();
    let at = if dots >= conf.ndots { 0 } else { names.len() };
    names.insert(at, host.to_owned());
    names
}

/// Asks one server for the addresses of `name`.
async fn ask(name: &str, server: SocketAddr) -> io::Result<Vec<IpAddr>> {
    let local: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((local, 0)).await?;
    socket.connect(server).await?;
    let mut question = Message::query();
    question.metadata.recursion_desired = true;
    let name = Name::from_labels(name.split('.').map(str::as_bytes)).map_err(io::Error::other)?;
    question.add_query(Query::query(name, RecordType::A));
    socket.send(&question.to_vec().map_err(io::Error::other)?).await?;
    let mut buffer = [0; 4096];
    loop {
        let length = socket.recv(&mut buffer).await?;
        let Ok(reply) = Message::from_vec(&buffer[..length]) else { continue };
        if answers(&reply, &question) {
            return addresses(&reply);
        }
    }
}

fn answers(reply: &Message, question: &Message) -> bool {
    reply.metadata.id == question.metadata.id
        && reply.metadata.message_type == MessageType::Response
        && reply.metadata.op_code == OpCode::Query
        && (reply.queries.is_empty() || reply.queries == question.queries)
}

fn addresses(reply: &Message) -> io::Result<Vec<IpAddr>> {
    match reply.metadata.response_code {
        ResponseCode::NoError => {
            Ok(reply.answers.iter().filter_map(|record| record.data.ip_addr()).collect())
        }
        ResponseCode::NXDomain => Ok(Vec::new()),
        code => Err(io::Error::other(format!("the name server answers {code}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_found_in_any_case_and_after_comments_are_gone() {
        let text = "127.0.0.1 localhost\n# 10.0.0.1 web\n10.0.0.2\tapi  Web # web3\nbad web\n10.0.0.4 web\n";
        let check = |host: &str, expected: &[&str]| {
            let found: Vec<_> = in_hosts(text, host).iter().map(ToString::to_string).collect();
            assert_eq!(found, expected, "{host}");
        };
        check("localhost", &["127.0.0.1"]);
        check("WEB", &["10.0.0.2", "10.0.0.4"]);
        check("web3", &[]);
        check("ap", &[]);
    }

    #[test]
    fn the_file_says_where_to_look_and_in_which_order() {
        let text = "nameserver 127.0.0.11\nsearch corp.example a.example.\noptions ndots:0 x\n";
        let zero = conf(text);
        assert_eq!(zero.servers, ["127.0.0.11".parse::<IpAddr>().unwrap()]);
        assert_eq!(candidates("web", &zero), ["web", "web.corp.example", "web.a.example"]);
        assert_eq!(candidates("web.", &zero), ["web"]);
        let five = conf(&text.replace("ndots:0", "ndots:2"));
        assert_eq!(candidates("web.x", &five), ["web.x.corp.example", "web.x.a.example", "web.x"]);
        assert_eq!(conf("").servers, ["127.0.0.1".parse::<IpAddr>().unwrap()]);
        assert_eq!(conf("nameserver x\noptions ndots:y").ndots, 1);
    }
}
