//! A server of the standard library only, compiled by the test that runs it, with and without debug information: it
//! computes for 40 ms, in a function of its own or in one that is inlined into it.

use std::hint::black_box;
use std::io::{Read as _, Write as _, copy, sink, stdin};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

const BUSY: Duration = Duration::from_millis(40);

#[inline(never)]
fn apart() {
    let start = Instant::now();
    while start.elapsed() < BUSY {
        for n in 0..10_000 {
            black_box(n);
        }
    }
}

#[inline(always)]
fn inlined() {
    let start = Instant::now();
    while start.elapsed() < BUSY {
        for n in 0..10_000 {
            black_box(n);
        }
    }
}

#[inline(never)]
fn around() {
    inlined();
    black_box(());
}

fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    let mut request = [0; 1024];
    loop {
        let length = stream.read(&mut request)?;
        if length == 0 {
            return Ok(());
        }
        if request.starts_with(b"GET /apart ") { apart() } else { around() }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
    }
}

fn main() -> std::io::Result<()> {
    thread::spawn(|| {
        let _ = copy(&mut stdin(), &mut sink());
        std::process::exit(0);
    });
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("listening on {}", listener.local_addr()?);
    for stream in listener.incoming() {
        let stream = stream?;
        thread::spawn(move || serve(stream));
    }
    Ok(())
}
