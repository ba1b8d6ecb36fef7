//! A client of HTTP/1.1: one page, over one connection.

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Outcome;
use super::http::{self, Page};
use super::names::Names;
use super::url::Url;

/// The longest page that is read.
const MAX_PAGE: u64 = 1 << 20;

/// What to get.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// The address of the page, such as `http://web:8080/health`.
    url: Url,
    /// The status that is good; without, 200 to 399 are.
    #[arg(long, value_name = "STATUS")]
    expect: Option<u16>,
    /// Seconds until it is too late.
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    timeout: u64,
}

pub(super) async fn run(options: Options) -> Outcome<()> {
    let patience = Duration::from_secs(options.timeout);
    let page = get(&options.url, &Names::default(), patience).await?;
    std::io::stdout().write_all(&page.body).map_err(|error| format!("cannot print: {error}"))?;
    match (page.status, options.expect) {
        (status, Some(expected)) if status != expected => {
            Err(format!("{} answers with status {status}, not {expected}", options.url))
        }
        (status, None) if !(200..400).contains(&status) => {
            Err(format!("{} answers with status {status}", options.url))
        }
        _ => Ok(()),
    }
}

/// Gets a page.
///
/// # Errors
/// A sentence that names the page and says why not.
pub(super) async fn get(url: &Url, names: &Names, patience: Duration) -> Outcome<Page> {
    match timeout(patience, exchange(url, names)).await {
        Ok(done) => done.map_err(|why| format!("cannot get {url}: {why}")),
        Err(_) => Err(format!("cannot get {url}: no answer within {} s", patience.as_secs_f32())),
    }
}

async fn exchange(url: &Url, names: &Names) -> Outcome<Page> {
    let addresses = names.addresses(&url.host).await?;
    let mut stream = connect(&addresses, url.port).await?;
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: orca-demo\r\nAccept: */*\r\nConnection: close\r\n\r\n",
        url.path,
        url.authority()
    );
    stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    let mut limited = stream.take(MAX_PAGE + 1);
    let read = limited.read_to_end(&mut bytes).await;
    if bytes.len() as u64 > MAX_PAGE {
        return Err(format!("the answer is longer than {MAX_PAGE} bytes"));
    }
    match (http::page(&bytes), read) {
        (Err(why), Ok(_)) => Err(why),
        (Err(_), Err(error)) => Err(error.to_string()),
        // All of it was there before the other side broke off.
        (Ok(page), _) => Ok(page),
    }
}

/// A connection to the first address that takes one.
async fn connect(addresses: &[std::net::IpAddr], port: u16) -> Outcome<TcpStream> {
    let mut why = "the name has no address".to_owned();
    for address in addresses {
        let address = SocketAddr::new(*address, port);
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => why = format!("{address}: {error}"),
        }
    }
    Err(why)
}
