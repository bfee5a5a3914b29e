//! The client of a `slow-peer`: a request takes an idle connection or opens one, so that requests never wait for
//! each other here.

use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result, ensure};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

type Connection = BufReader<TcpStream>;

/// A peer and the connections to it that nobody uses at the moment.
pub(crate) struct Downstream {
    address: String,
    idle: Mutex<Vec<Connection>>,
}

impl Downstream {
    pub(crate) fn new(address: String) -> Self {
        Self {
            address,
            idle: Mutex::new(Vec::new()),
        }
    }

    /// Has the peer sleep; gives the line that it answers. After an error the connection is not used again.
    pub(crate) async fn ask(&self, sleep_ms: u64) -> Result<String> {
        let mut connection = match self.take_idle() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let line = exchange(&mut connection, sleep_ms)
            .await
            .with_context(|| format!("{} does not answer", self.address))?;
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(connection);
        Ok(line)
    }

    fn take_idle(&self) -> Option<Connection> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    async fn connect(&self) -> Result<Connection> {
        let stream = TcpStream::connect(&self.address)
            .await
            .with_context(|| format!("cannot connect to {}", self.address))?;
        Ok(BufReader::new(stream))
    }
}

async fn exchange(connection: &mut Connection, sleep_ms: u64) -> Result<String> {
    // In one piece: one request is one segment.
    let question = format!("{sleep_ms}\n");
    connection.write_all(question.as_bytes()).await?;
    let mut line = String::new();
    connection.read_line(&mut line).await?;
    ensure!(line.ends_with('\n'), "it closed the connection");
    Ok(line)
}
