//! A TCP proxy in the test's process that misbehaves when told to: it swallows what the server answers, or cuts
//! connections after a random while.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A running proxy; ends when it is dropped.
pub struct Proxy {
    /// Where clients come in.
    pub url: String,
    faults: Arc<Faults>,
    _stop: DropGuard,
}

#[derive(Default)]
struct Faults {
    swallow: AtomicBool,
    cuts: AtomicU32,
}

impl Proxy {
    /// In front of `address`. Connections live for a random time of `lives`, in milliseconds, when it is given.
    pub async fn start(address: &str, lives: Option<Range<u64>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (faults, stop) = (Arc::<Faults>::default(), CancellationToken::new());
        let serving = serve(listener, address.to_owned(), lives, Arc::clone(&faults));
        tokio::spawn(stop.clone().run_until_cancelled_owned(serving));
        Self { url, faults, _stop: stop.drop_guard() }
    }

    /// From now on nothing that the server says reaches a client.
    pub fn swallow_answers(&self) {
        self.faults.swallow.store(true, Ordering::SeqCst);
    }

    /// How many connections were cut.
    pub fn cuts(&self) -> u32 {
        self.faults.cuts.load(Ordering::SeqCst)
    }
}

async fn serve(listener: TcpListener, address: String, lives: Option<Range<u64>>, faults: Arc<Faults>) {
    // Dropped with this future: then all connections end.
    let mut connections = JoinSet::new();
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        let (address, faults) = (address.clone(), Arc::clone(&faults));
        let life = lives.clone().map(|lives| Duration::from_millis(rand::random_range(lives)));
        connections.spawn(async move {
            let Ok(server) = TcpStream::connect(address).await else { return };
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            let cut = async {
                match life {
                    Some(life) => tokio::time::sleep(life).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = copy(from_client, to_server, None) => {}
                () = copy(from_server, to_client, Some(&faults.swallow)) => {}
                () = cut => { faults.cuts.fetch_add(1, Ordering::SeqCst); }
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

/// Until one side ends.
async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, swallow: Option<&AtomicBool>) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if swallow.is_some_and(|swallow| swallow.load(Ordering::SeqCst)) {
            continue;
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
