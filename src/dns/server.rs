//! The server of one sandbox: two sockets in its network namespace, and the view it answers from.

use std::io;
use std::net::{SocketAddr, TcpListener as StdTcpListener, UdpSocket as StdUdpSocket};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};

use super::forward::{Forwarder, Transport};
use super::lookup::{Answer, Question, answer};
use super::message::{Asked, Unreadable, read};
use super::tcp;
use super::view::View;
use crate::model::{DNS_ADDRESS, DNS_PORT};
use crate::sys;

/// Questions of one sandbox under way outside; more are refused. Docker's limit, which was found by
/// raising it until nobody complained.
const MAX_FORWARDS: usize = 1024;

/// The longest question that is read over UDP. With all options known it is far below.
const MAX_QUESTION: usize = 2048;

/// How long to rest after a socket failed, so that a lasting failure does not eat a processor.
const REST: Duration = Duration::from_millis(100);

/// The sockets of a server, in the namespace of its sandbox.
#[derive(Debug)]
pub(super) struct Sockets {
    udp: StdUdpSocket,
    tcp: StdTcpListener,
}

impl Sockets {
    /// Opens both inside the namespace at `netns`.
    ///
    /// # Errors
    /// If the namespace is not there, or the address is taken in it.
    pub(super) fn open(netns: &Path) -> io::Result<Self> {
        let address = SocketAddr::from((DNS_ADDRESS, DNS_PORT));
        sys::netns::in_netns(netns, || {
            let udp = StdUdpSocket::bind(address)?;
            udp.set_nonblocking(true)?;
            let tcp = StdTcpListener::bind(address)?;
            tcp.set_nonblocking(true)?;
            Ok(Self { udp, tcp })
        })
    }
}

/// What answering needs, shared by the tasks of a server.
#[derive(Debug)]
pub(super) struct Desk {
    view: RwLock<Arc<View>>,
    forwarder: Arc<Forwarder>,
    forwards: Semaphore,
}

/// A server that runs. It ends, and its sockets close, soon after this is dropped.
#[derive(Debug)]
pub(super) struct Server {
    desk: Arc<Desk>,
    tasks: [JoinHandle<()>; 2],
}

impl Server {
    /// Starts to answer from `view`.
    ///
    /// # Errors
    /// If the sockets cannot be watched.
    pub(super) fn start(
        sockets: Sockets,
        view: Arc<View>,
        forwarder: Arc<Forwarder>,
    ) -> io::Result<Self> {
        let desk = Arc::new(Desk {
            view: RwLock::new(view),
            forwarder,
            forwards: Semaphore::new(MAX_FORWARDS),
        });
        let udp = Arc::new(UdpSocket::from_std(sockets.udp)?);
        let tcp = TcpListener::from_std(sockets.tcp)?;
        let tasks = [
            tokio::spawn(serve_udp(udp, Arc::clone(&desk))),
            tokio::spawn(tcp::serve(tcp, Arc::clone(&desk))),
        ];
        Ok(Self { desk, tasks })
    }

    /// What it answers from.
    pub(super) fn view(&self) -> Arc<View> {
        self.desk.view()
    }

    /// Answers from another view: every question is answered from one or the other.
    pub(super) fn swap(&self, view: Arc<View>) {
        *self.desk.view.write().unwrap_or_else(PoisonError::into_inner) = view;
    }

    /// Ends it. The address is free when this returns.
    pub(super) async fn stop(mut self) {
        for task in &mut self.tasks {
            task.abort();
            // All it can say is that it was stopped.
            task.await.ok();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// What to do for a question.
enum Next {
    Nothing,
    Reply(Vec<u8>),
    Forward(Box<Asked>, Arc<View>),
}

impl Desk {
    fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn decide(&self, bytes: &[u8], transport: Transport) -> Next {
        let asked = match read(bytes) {
            Ok(asked) => asked,
            Err(Unreadable::Ignored) => return Next::Nothing,
            Err(Unreadable::Reply(reply)) => return Next::Reply(reply),
        };
        let view = self.view();
        let question = Question { name: asked.query.name(), kind: asked.query.query_type() };
        match answer(&view, question) {
            Answer::Records(mut records) => {
                sys::random::shuffle(&mut records);
                let limit = match transport {
                    Transport::Udp => asked.payload(),
                    Transport::Tcp => usize::from(u16::MAX),
                };
                Next::Reply(asked.records(records, limit))
            }
            Answer::NoData => Next::Reply(asked.failure(ResponseCode::NoError)),
            Answer::NxDomain => Next::Reply(asked.failure(ResponseCode::NXDomain)),
            Answer::Refused => Next::Reply(asked.failure(ResponseCode::Refused)),
            Answer::Forward => Next::Forward(Box::new(asked), view),
        }
    }

    async fn forward(
        &self,
        asked: &Asked,
        view: &View,
        bytes: &[u8],
        transport: Transport,
    ) -> Vec<u8> {
        let Ok(_permit) = self.forwards.try_acquire() else {
            return asked.failure(ResponseCode::Refused);
        };
        self.forwarder.forward(&view.sandbox, asked, bytes, transport).await
    }

    /// The reply to `bytes`; `None` if they deserve none.
    pub(super) async fn reply(&self, bytes: &[u8], transport: Transport) -> Option<Vec<u8>> {
        match self.decide(bytes, transport) {
            Next::Nothing => None,
            Next::Reply(reply) => Some(reply),
            Next::Forward(asked, view) => Some(self.forward(&asked, &view, bytes, transport).await),
        }
    }
}

/// Answers over UDP for as long as it is let. What the table knows is answered at once, in turn; a
/// question to the outside waits in a task of its own, of which there are only so many.
async fn serve_udp(socket: Arc<UdpSocket>, desk: Arc<Desk>) {
    let mut buffer = vec![0; MAX_QUESTION];
    let mut waiting = JoinSet::new();
    loop {
        while waiting.try_join_next().is_some() {}
        let (length, client) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            Err(error) => {
                tracing::warn!(%error, "cannot receive a question");
                tokio::time::sleep(REST).await;
                continue;
            }
        };
        let bytes = &buffer[..length];
        match desk.decide(bytes, Transport::Udp) {
            Next::Nothing => {}
            Next::Reply(reply) => send(&socket, &reply, client).await,
            Next::Forward(asked, _) if waiting.len() >= MAX_FORWARDS => {
                send(&socket, &asked.failure(ResponseCode::Refused), client).await;
            }
            Next::Forward(asked, view) => {
                // Those that wait do not keep the socket open when the server is stopped.
                let (socket, desk, bytes) =
                    (Arc::downgrade(&socket), Arc::clone(&desk), bytes.to_vec());
                waiting.spawn(async move {
                    let reply = desk.forward(&asked, &view, &bytes, Transport::Udp).await;
                    if let Some(socket) = socket.upgrade() {
                        send(&socket, &reply, client).await;
                    }
                });
            }
        }
    }
}

async fn send(socket: &UdpSocket, reply: &[u8], client: SocketAddr) {
    if let Err(error) = socket.send_to(reply, client).await {
        tracing::debug!(%client, %error, "cannot send an answer");
    }
}
