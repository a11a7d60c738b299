//! A TCP proxy that misbehaves when told to: it delays, falls silent in one or both directions while connections stay open
//! (half-open), cuts connections, resets them, or lets nobody in. Everything can be changed while it runs.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, watch},
    task::JoinHandle,
    time::Instant,
};

/// A direction of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
}

impl Way {
    const BOTH: [Way; 2] = [Way::ToServer, Way::ToClient];
}

/// How bytes travel one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Travel {
    delay: Duration,
    /// Bytes are kept, and delivered when it ends.
    silent: bool,
}

/// How connections that are open end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Fin,
    Reset,
}

/// What all connections share.
struct Shared {
    to: u16,
    travel: [watch::Sender<Travel>; 2],
    /// Raised to end the connections that are open.
    ends: watch::Sender<(u64, End)>,
    /// New connections are closed at once.
    refusing: Mutex<bool>,
}

/// A running proxy on 127.0.0.1. Dropping it ends its connections.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.end(End::Fin);
    }
}

impl Proxy {
    /// Starts one in front of a port of this machine.
    pub async fn start(to: u16) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("starting a proxy")?;
        let port = listener.local_addr().context("the proxy's port")?.port();
        let travel = [watch::channel(Travel::default()).0, watch::channel(Travel::default()).0];
        let ends = watch::channel((0, End::Fin)).0;
        let shared = Arc::new(Shared { to, travel, ends, refusing: Mutex::new(false) });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { port, shared, accepting })
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Lets bytes travel this much longer one way.
    pub fn delay(&self, way: Way, delay: Duration) {
        self.shared.travel[way as usize].send_modify(|travel| travel.delay = delay);
    }

    /// Adds this much to every round trip, half of it each way.
    pub fn add_round_trip(&self, delay: Duration) {
        for way in Way::BOTH {
            self.delay(way, delay / 2);
        }
    }

    /// Nothing arrives any more one way, and nobody is told; new connections are taken and never answered. What was sent arrives
    /// after [`Proxy::heal`], as it would by TCP's repeats.
    pub fn silence(&self, way: Way) {
        self.shared.travel[way as usize].send_modify(|travel| travel.silent = true);
    }

    /// [`Proxy::silence`] both ways: half-open for both ends.
    pub fn half_open(&self) {
        for way in Way::BOTH {
            self.silence(way);
        }
    }

    /// Closes every connection in order, and every new one at once.
    pub fn cut(&self) {
        self.refuse(true);
        self.end(End::Fin);
    }

    /// Resets every connection that is open; new ones are served.
    pub fn reset(&self) {
        self.end(End::Reset);
    }

    /// From here on everything works as if nothing had been; delays stay.
    pub fn heal(&self) {
        self.refuse(false);
        for way in Way::BOTH {
            self.shared.travel[way as usize].send_modify(|travel| travel.silent = false);
        }
    }

    fn refuse(&self, refusing: bool) {
        *self.shared.refusing.lock().unwrap_or_else(PoisonError::into_inner) = refusing;
    }

    fn end(&self, how: End) {
        self.shared.ends.send_modify(|(count, end)| (*count, *end) = (*count + 1, how));
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // An error here is one of a connection that is gone already.
    loop {
        if let Ok((client, _)) = listener.accept().await
            && !*shared.refusing.lock().unwrap_or_else(PoisonError::into_inner)
        {
            tokio::spawn(serve(client, Arc::clone(&shared)));
        }
    }
}

async fn serve(client: TcpStream, shared: Arc<Shared>) {
    let (ends, carrying) = (shared.ends.subscribe(), shared.ends.subscribe());
    let Ok(server) = TcpStream::connect(("127.0.0.1", shared.to)).await else { return };
    // A packet per message, as the ends send them.
    if client.set_nodelay(true).is_err() || server.set_nodelay(true).is_err() {
        return;
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let forth = carry(from_client, to_server, shared.travel[Way::ToServer as usize].subscribe(), ends);
    let back = carry(from_server, to_client, shared.travel[Way::ToClient as usize].subscribe(), carrying);
    let (mut forth, mut back) = (std::pin::pin!(forth), std::pin::pin!(back));
    // When one way has come to its end the other one has: nobody here closes one way only. A reset is for both.
    tokio::select! {
        how = &mut forth => if how == End::Reset { back.await; },
        how = &mut back => if how == End::Reset { forth.await; },
    }
}

/// Carries bytes one way; each piece waits for its own time, so that a delay doesn't make the way narrow.
async fn carry(
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
    travel: watch::Receiver<Travel>,
    mut ends: watch::Receiver<(u64, End)>,
) -> End {
    let (sender, pieces) = mpsc::unbounded_channel();
    let (mut from, mut to) = (from, to);
    let how = tokio::select! {
        _ = ends.changed() => ends.borrow().1,
        // What was read before its end is still delivered.
        ((), ()) = async { tokio::join!(take(&mut from, sender, travel.clone()), deliver(pieces, &mut to, travel.clone())) } => End::Fin,
    };
    // Without the orderly end that dropping the half would send before.
    if how == End::Reset && from.as_ref().set_zero_linger().is_ok() {
        to.forget();
    }
    how
}

type Piece = (Instant, Vec<u8>);

async fn take(from: &mut OwnedReadHalf, sender: mpsc::UnboundedSender<Piece>, travel: watch::Receiver<Travel>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let due = Instant::now() + travel.borrow().delay;
        if sender.send((due, buffer[..length].to_vec())).is_err() {
            return;
        }
    }
}

async fn deliver(
    mut pieces: mpsc::UnboundedReceiver<Piece>,
    to: &mut OwnedWriteHalf,
    mut travel: watch::Receiver<Travel>,
) {
    while let Some((due, bytes)) = pieces.recv().await {
        tokio::time::sleep_until(due).await;
        if travel.wait_for(|travel| !travel.silent).await.is_err() || to.write_all(&bytes).await.is_err() {
            return;
        }
    }
}
