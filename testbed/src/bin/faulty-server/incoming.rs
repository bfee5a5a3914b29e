//! Where connections come from: a listener that can be left alone for a while, so that they wait in the kernel's
//! accept queue, or another runtime that accepts for two.

use std::future;
use std::io::Result as IoResult;
use std::net::{SocketAddr, TcpListener as StdListener, TcpStream as StdStream};

use axum::serve::Listener;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

/// Whether connections are accepted.
#[derive(Clone)]
pub(crate) struct Gate(watch::Sender<bool>);

/// A listener behind a gate.
pub(crate) struct Gated {
    listener: TcpListener,
    open: watch::Receiver<bool>,
}

/// Connections for one runtime.
pub(crate) enum Incoming {
    /// It accepts them itself.
    Gated(Gated),
    /// Another accepts them, at this address.
    Dealt(mpsc::UnboundedReceiver<StdStream>, SocketAddr),
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(true))
    }

    /// Takes a listener into the runtime that calls this.
    pub(crate) fn before(&self, listener: StdListener) -> IoResult<Gated> {
        Ok(Gated {
            listener: TcpListener::from_std(listener)?,
            open: self.0.subscribe(),
        })
    }

    pub(crate) fn close(&self) {
        self.0.send_replace(false);
    }

    pub(crate) fn open(&self) {
        self.0.send_replace(true);
    }
}

impl Gated {
    /// Accepts for others, one after the other. Ends when one of them is gone.
    pub(crate) async fn deal(mut self, others: [mpsc::UnboundedSender<StdStream>; 2]) {
        loop {
            for other in &others {
                let stream = self.accept().await.into_std();
                let Ok(Ok(())) = stream.map(|stream| other.send(stream)) else {
                    return;
                };
            }
        }
    }

    async fn accept(&mut self) -> TcpStream {
        loop {
            // The sender lives as long as the server. Without it the gate would stay as it is.
            let _ = self.open.wait_for(|open| *open).await;
            tokio::select! {
                biased;
                Ok(_) = self.open.wait_for(|open| !*open) => {}
                (stream, _) = Listener::accept(&mut self.listener) => return stream,
            }
        }
    }
}

impl Incoming {
    /// With what accepts for it, for a runtime that does not.
    pub(crate) fn dealt(address: SocketAddr) -> (mpsc::UnboundedSender<StdStream>, Self) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (sender, Self::Dealt(receiver, address))
    }

    async fn stream(&mut self) -> IoResult<TcpStream> {
        match self {
            Self::Gated(gated) => Ok(gated.accept().await),
            Self::Dealt(streams, _) => {
                match streams.recv().await {
                    Some(stream) => TcpStream::from_std(stream),
                    // Nobody accepts any more.
                    None => future::pending().await,
                }
            }
        }
    }
}

impl Listener for Incoming {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            if let Ok(stream) = self.stream().await
                && let Ok(peer) = stream.peer_addr()
            {
                return (stream, peer);
            }
        }
    }

    fn local_addr(&self) -> IoResult<SocketAddr> {
        match self {
            Self::Gated(gated) => gated.listener.local_addr(),
            Self::Dealt(_, address) => Ok(*address),
        }
    }
}
