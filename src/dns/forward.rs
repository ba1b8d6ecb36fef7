//! Questions that others answer: passed on as they came, and the answers passed back as they came.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use hickory_proto::op::ResponseCode;
use tokio::sync::Semaphore;

use super::message::{Asked, Verdict};
use super::resolv_conf::{MAX_SERVERS, ResolvConf};
use super::upstream::{Outgoing, Place, ask_tcp, ask_udp};
use crate::model::{DNS_ADDRESS, DnsSandbox};

/// Questions under way outside, of all sandboxes together: each has a socket.
const MAX_IN_FLIGHT: usize = 8192;

/// How a client asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    Udp,
    Tcp,
}

/// Asks the servers outside.
#[derive(Debug)]
pub(super) struct Forwarder {
    host: ResolvConf,
    in_flight: Semaphore,
}

/// The servers for one question, and where it goes out.
struct Route {
    place: Place,
    first: Vec<SocketAddr>,
    spare: Vec<SocketAddr>,
}

/// What came of asking a list of servers.
enum Outcome {
    Answered(Vec<u8>),
    /// All that answered declined; this is what the first of them said.
    Declined(Vec<u8>),
    Silent,
}

impl Forwarder {
    pub(super) fn new(resolv_conf: PathBuf) -> Self {
        Self { host: ResolvConf::new(resolv_conf), in_flight: Semaphore::new(MAX_IN_FLIGHT) }
    }

    /// The reply to `bytes`, which ask what `asked` says: the first answer that is one, else the
    /// first refusal, else SERVFAIL.
    pub(super) async fn forward(
        &self,
        sandbox: &DnsSandbox,
        asked: &Asked,
        bytes: &[u8],
        transport: Transport,
    ) -> Vec<u8> {
        let Ok(_permit) = self.in_flight.try_acquire() else {
            return asked.failure(ResponseCode::Refused);
        };
        let out = Outgoing { bytes, query: &asked.query, payload: asked.payload() };
        let route = self.route(sandbox);
        let mut outcome = ask_each(&route.first, &route.place, &out, transport).await;
        if matches!(outcome, Outcome::Silent) {
            outcome = ask_each(&route.spare, &route.place, &out, transport).await;
        }
        match outcome {
            Outcome::Answered(mut reply) | Outcome::Declined(mut reply) => {
                let too_long = transport == Transport::Udp && reply.len() > asked.payload();
                let (false, Some(id)) = (too_long, reply.get_mut(..2)) else { return asked.cut() };
                // The question has an id: it was read as a message.
                id.copy_from_slice(&bytes[..2]);
                reply
            }
            Outcome::Silent => asked.failure(ResponseCode::ServFail),
        }
    }

    fn route(&self, sandbox: &DnsSandbox) -> Route {
        if sandbox.upstreams.is_empty() {
            let servers = self.host.servers();
            let (first, spare) = (servers.first.clone(), servers.spare.clone());
            return Route { place: Place::Host, first, spare };
        }
        let first = sandbox
            .upstreams
            .iter()
            // That is this very server: it would ask itself for ever.
            .filter(|address| **address != DNS_ADDRESS)
            .map(|address| SocketAddr::new(*address, 53))
            .take(MAX_SERVERS)
            .collect();
        Route { place: Place::Netns(sandbox.netns.clone()), first, spare: Vec::new() }
    }
}

/// Asks one server after the other until one answers.
async fn ask_each(
    servers: &[SocketAddr],
    place: &Place,
    out: &Outgoing<'_>,
    transport: Transport,
) -> Outcome {
    let mut declined = None;
    for server in servers {
        match ask(*server, place, out, transport).await {
            Ok((Verdict::Good | Verdict::Cut, reply)) => return Outcome::Answered(reply),
            Ok((_, reply)) => _ = declined.get_or_insert(reply),
            Err(error) => tracing::debug!(%server, %error, "a name server does not answer"),
        }
    }
    declined.map_or(Outcome::Silent, Outcome::Declined)
}

/// Asks one server: over UDP, and again over TCP for what did not fit if the client can take it.
async fn ask(
    server: SocketAddr,
    place: &Place,
    out: &Outgoing<'_>,
    transport: Transport,
) -> io::Result<(Verdict, Vec<u8>)> {
    let (verdict, reply) = ask_udp(server, place, out).await?;
    if verdict != Verdict::Cut || transport == Transport::Udp {
        return Ok((verdict, reply));
    }
    // Half an answer is better than none, if the server does not talk over TCP.
    Ok(ask_tcp(server, place, out).await.unwrap_or((verdict, reply)))
}
