//! A listener that can be left alone for a while: connections then wait in the kernel's accept queue.

use std::io::Result as IoResult;
use std::net::SocketAddr;

use axum::serve::Listener;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Whether connections are accepted.
#[derive(Clone)]
pub(crate) struct Gate(watch::Sender<bool>);

/// A listener behind a gate.
pub(crate) struct Gated {
    listener: TcpListener,
    open: watch::Receiver<bool>,
}

impl Gate {
    /// An open gate before a listener.
    pub(crate) fn before(listener: TcpListener) -> (Self, Gated) {
        let (sender, open) = watch::channel(true);
        (Self(sender), Gated { listener, open })
    }

    pub(crate) fn close(&self) {
        self.0.send_replace(false);
    }

    pub(crate) fn open(&self) {
        self.0.send_replace(true);
    }
}

impl Listener for Gated {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            // The sender lives as long as the server. Without it the gate would stay as it is.
            let _ = self.open.wait_for(|open| *open).await;
            tokio::select! {
                biased;
                Ok(_) = self.open.wait_for(|open| !*open) => {}
                accepted = Listener::accept(&mut self.listener) => return accepted,
            }
        }
    }

    fn local_addr(&self) -> IoResult<SocketAddr> {
        self.listener.local_addr()
    }
}
