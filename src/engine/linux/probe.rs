//! One probe of one container.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::LinuxHost;
use super::health::{OUTPUT_MAX, ProbeResult};
use crate::model::{ContainerId, HealthCheck, Probe};
use crate::runtime::{ContainerPhase, ExecRequest, Output};
use crate::sys::netns::in_netns;

/// How many probes may run at once: a hundred checks that come due together must not starve what they
/// check.
static PROBES: LazyLock<Semaphore> = LazyLock::new(|| {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Semaphore::new(cores * 4)
});

impl LinuxHost {
    /// Probes a container once, for at most the check's timeout.
    pub(super) async fn probe(&self, id: &ContainerId, check: &HealthCheck) -> ProbeResult {
        let _permit = PROBES.acquire().await;
        let limit = check.timeout.unwrap_or(HealthCheck::TIMEOUT);
        let probed = match &check.test {
            None | Some(Probe::None) => Ok(String::new()),
            Some(Probe::Exec(args)) => self.probe_by_program(id, args.clone(), limit).await,
            Some(Probe::Shell(line)) => {
                let args = vec!["/bin/sh".to_owned(), "-c".to_owned(), line.clone()];
                self.probe_by_program(id, args, limit).await
            }
            Some(Probe::Tcp(port)) => {
                let address = SocketAddr::from((Ipv4Addr::LOCALHOST, *port));
                self.probe_from_inside(id, move || connect(address, limit).map(|_| String::new()))
                    .await
            }
            Some(Probe::Http(url)) => {
                let url = url.clone();
                self.probe_from_inside(id, move || get(&url, limit)).await
            }
        };
        match probed {
            Ok(output) => ProbeResult { healthy: true, output },
            Err(output) => ProbeResult { healthy: false, output },
        }
    }

    async fn probe_by_program(
        &self,
        id: &ContainerId,
        args: Vec<String>,
        limit: Duration,
    ) -> Result<String, String> {
        let request = ExecRequest { args, ..ExecRequest::default() };
        let run = self.run_inside(id, request);
        // Dropping the program's handle kills it.
        timeout(limit, run).await.unwrap_or_else(|_| Err(format!("no answer within {limit:?}")))
    }

    /// Runs a program in a container to its end: what it said, or with what status it failed.
    pub(super) async fn run_inside(
        &self,
        id: &ContainerId,
        request: ExecRequest,
    ) -> Result<String, String> {
        let mut exec = self.hands.runtime.exec(id, request).await.map_err(|e| e.to_string())?;
        let outputs = (beginning(exec.stdout.take()), beginning(exec.stderr.take()));
        let (mut output, error) = tokio::join!(outputs.0, outputs.1);
        output.extend(error);
        let code = exec.wait().await.map_err(|error| error.to_string())?;
        let output = String::from_utf8_lossy(&output).into_owned();
        if code == 0 { Ok(output) } else { Err(format!("exit status {code}: {output}")) }
    }

    async fn probe_from_inside(
        &self,
        id: &ContainerId,
        work: impl FnOnce() -> io::Result<String> + Send + 'static,
    ) -> Result<String, String> {
        let namespace = self.network_of(id).ok_or("the container does not run")?;
        spawn_blocking(move || in_netns(&namespace, work))
            .await
            .map_err(|error| error.to_string())?
            .map_err(|error| error.to_string())
    }

    fn network_of(&self, id: &ContainerId) -> Option<PathBuf> {
        match self.hands.runtime.containers().get(id)?.phase {
            ContainerPhase::Running { pid, .. } => Some(format!("/proc/{pid}/ns/net").into()),
            _ => None,
        }
    }
}

/// Reads a stream to its end, so that its writer never waits, and keeps the beginning.
async fn beginning(stream: Option<Output>) -> Vec<u8> {
    let mut kept = Vec::new();
    let Some(mut stream) = stream else { return kept };
    let mut buffer = [0; 1024];
    while let Ok(n) = stream.read(&mut buffer).await {
        if n == 0 {
            break;
        }
        let room = OUTPUT_MAX - kept.len();
        kept.extend(&buffer[..n.min(room)]);
    }
    kept
}

fn connect(address: SocketAddr, limit: Duration) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    Ok(stream)
}

/// Asks for `url` by HTTP/1.1; a status of 200 to 399 is well. An empty host (`http://:8080/health`)
/// and `localhost` are the container itself; other names are not looked up.
fn get(url: &str, limit: Duration) -> io::Result<String> {
    let (host, port, path) = parts(url).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("cannot probe {url}: not http://host:port/path"),
        )
    })?;
    let mut stream = connect(SocketAddr::from((host, port)), limit)?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nUser-Agent: orca\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.take(OUTPUT_MAX as u64).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status: Option<u16> = answer
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.split_whitespace().nth(1))
        .and_then(|status| status.parse().ok());
    match status {
        Some(200..400) => Ok(answer),
        Some(status) => Err(io::Error::other(format!("{url} answered with status {status}"))),
        None => Err(io::Error::other(format!("{url} did not answer in HTTP"))),
    }
}

fn parts(url: &str) -> Option<(IpAddr, u16, String)> {
    let rest = url.strip_prefix("http://")?;
    let (authority, path) = match rest.find('/') {
        Some(slash) => (&rest[..slash], &rest[slash..]),
        None => (rest, "/"),
    };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok()?),
        None => (authority, 80),
    };
    let address = match host {
        "" | "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        _ => host.trim_start_matches('[').trim_end_matches(']').parse().ok()?,
    };
    Some((address, port, path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, expected: Option<(&str, u16, &str)>) {
        let expected =
            expected.map(|(host, port, path)| (host.parse().unwrap(), port, path.to_owned()));
        assert_eq!(parts(url), expected, "{url}");
    }

    #[test]
    fn a_probes_url_has_an_address_or_nothing_as_its_host() {
        check("http://:8080/health", Some(("127.0.0.1", 8080, "/health")));
        check("http://localhost", Some(("127.0.0.1", 80, "/")));
        check("http://[::1]:9/a/b", Some(("::1", 9, "/a/b")));
        check("http://example.org/", None);
        check("https://:1/", None);
        check("http://:port/", None);
    }

    #[test]
    fn only_a_good_status_is_well() {
        let answer = |status: &'static str| {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 512];
                let _ = stream.read(&mut request).unwrap();
                stream.write_all(format!("HTTP/1.1 {status}\r\n\r\nhello").as_bytes()).unwrap();
            });
            get(&format!("http://:{port}/"), Duration::from_secs(5))
        };
        assert!(answer("200 OK").unwrap().ends_with("hello"));
        assert!(answer("302 Found").is_ok());
        assert!(answer("503 Service Unavailable").unwrap_err().to_string().contains("503"));
    }
}
