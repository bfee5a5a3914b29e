//! Event loops: one thread that waits for all its sockets at once, and serves what is readable or has a pool do it.

use std::collections::BTreeMap;
use std::mem::MaybeUninit;
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::clients::{Client, Endpoint};
use crate::errands::{Errands, HandedBack};
use crate::pool::{Job, Pool};
use crate::threads;
use crate::work::{Asked, Work};

/// Sockets that are told as readable at once, at most.
const MOST_READY: usize = 64;

/// What a loop does with a connection that is readable. There is a pool for each place.
pub(crate) enum Manner {
    /// Reads the request and serves it.
    Serves,
    /// Reads the request and hands it to a pool.
    Feeds(Vec<Arc<Pool>>),
    /// Reads the request, has a pool do jobs for it, and answers it.
    Employs(Errands),
    /// Hands the connection to a pool.
    Hands(Vec<Arc<Pool>>),
}

/// The call in which a loop waits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waits {
    Epoll,
    Poll,
}

/// What a loop waits for.
enum Socket {
    Endpoint(Endpoint),
    Client(Arc<Client>),
    Peer(TcpStream, Box<Asked>),
    HandedBack(Arc<HandedBack>),
}

/// The sockets of a loop.
pub(crate) struct Watched {
    /// Nothing where the loop waits with `poll`.
    epoll: Option<OwnedFd>,
    sockets: Mutex<Sockets>,
}

#[derive(Default)]
struct Sockets {
    by_token: BTreeMap<u64, Arc<Socket>>,
    next: u64,
}

/// A loop with a thread for each place.
pub(crate) fn one_for_each(places: Vec<Endpoint>, waits: Waits, work: &Arc<Work>) -> Result<()> {
    let work = Arc::clone(work);
    threads::for_each(places, move |place| {
        run(vec![place], waits, Manner::Serves, &work)
    })
}

/// One loop for all places, in this thread.
pub(crate) fn run(places: Vec<Endpoint>, waits: Waits, mut manner: Manner, work: &Work) -> Result<()> {
    let watched = Arc::new(Watched::new(waits)?);
    if let Manner::Employs(errands) = &manner {
        let handed_back = Arc::clone(&errands.handed_back);
        watched.watch(Socket::HandedBack(handed_back), EventFlags::IN)?;
    }
    for place in places {
        watched.watch(Socket::Endpoint(place), EventFlags::IN)?;
    }
    let once = match manner {
        Manner::Hands(_) => EventFlags::ONESHOT,
        Manner::Serves | Manner::Feeds(_) | Manner::Employs(_) => EventFlags::empty(),
    };
    loop {
        for token in watched.wait(manner.until_due())? {
            let Some(socket) = watched.get(token) else {
                continue;
            };
            match &*socket {
                Socket::Endpoint(place) => {
                    let client = Socket::Client(Arc::new(place.accept()?));
                    watched.watch(client, EventFlags::IN | once)?;
                }
                Socket::Client(client) => readable(&watched, token, client, &mut manner, work)?,
                Socket::Peer(stream, asked) => {
                    asked.answered(stream, work);
                    watched.forget(token);
                }
                Socket::HandedBack(_) => manner.takes_back(work),
            }
        }
        manner.rings(work);
    }
}

fn readable(
    watched: &Arc<Watched>,
    token: u64,
    client: &Arc<Client>,
    manner: &mut Manner,
    work: &Work,
) -> Result<()> {
    if let Manner::Hands(pools) = manner {
        pools[client.place].give(Job::Readable(Arc::clone(client), Arc::clone(watched), token));
        return Ok(());
    }
    // A client that went away is none.
    let Ok(Some(request)) = client.receive() else {
        watched.forget(token);
        return Ok(());
    };
    match manner {
        Manner::Feeds(pools) => pools[client.place].give(Job::Request(Arc::clone(client), request)),
        _ if request.path == "/downstream" => {
            let (stream, asked) = work.asks(client, &request)?;
            watched.watch(Socket::Peer(stream, Box::new(asked)), EventFlags::IN)?;
        }
        Manner::Employs(errands) => errands.begin(client, request, work),
        _ => work.serve(client, &request),
    }
    Ok(())
}

impl Manner {
    fn errands(&mut self) -> Option<&mut Errands> {
        match self {
            Self::Employs(errands) => Some(errands),
            _ => None,
        }
    }

    /// Goes on with what a pool has handed back.
    fn takes_back(&mut self, work: &Work) {
        if let Some(errands) = self.errands() {
            errands.take_back(work);
        }
    }

    /// Goes on with what has waited for a timer.
    fn rings(&mut self, work: &Work) {
        if let Some(errands) = self.errands() {
            errands.ring(work);
        }
    }

    /// How long until the first timer is due.
    fn until_due(&mut self) -> Option<Duration> {
        self.errands()?.until_due()
    }
}

impl Watched {
    fn new(waits: Waits) -> Result<Self> {
        let epoll = (waits == Waits::Epoll).then(|| epoll::create(epoll::CreateFlags::CLOEXEC));
        Ok(Self {
            epoll: epoll.transpose().context("cannot make an epoll")?,
            sockets: Mutex::default(),
        })
    }

    fn watch(&self, socket: Socket, flags: EventFlags) -> Result<()> {
        let socket = Arc::new(socket);
        let mut sockets = self.sockets();
        let token = sockets.next;
        sockets.next += 1;
        sockets.by_token.insert(token, Arc::clone(&socket));
        // It can be readable at once.
        drop(sockets);
        if let Some(epoll) = &self.epoll {
            let added = epoll::add(epoll, socket.descriptor(), EventData::new_u64(token), flags);
            added.context("cannot watch a socket")?;
        }
        Ok(())
    }

    /// Waits for the next request on a connection of which one was told.
    pub(crate) fn watch_again(&self, token: u64, client: &Client) {
        if let Some(epoll) = &self.epoll {
            let flags = EventFlags::IN | EventFlags::ONESHOT;
            // It is closed with its last owner.
            let _ = epoll::modify(epoll, &client.stream, EventData::new_u64(token), flags);
        }
    }

    /// The socket is closed when nobody else has it.
    pub(crate) fn forget(&self, token: u64) {
        let forgotten = self.sockets().by_token.remove(&token);
        drop(forgotten);
    }

    fn get(&self, token: u64) -> Option<Arc<Socket>> {
        self.sockets().by_token.get(&token).cloned()
    }

    /// Those that are readable, after so long at most.
    fn wait(&self, most: Option<Duration>) -> Result<Vec<u64>> {
        let most = most.map(whole_milliseconds);
        if let Some(epoll) = &self.epoll {
            let mut events = [MaybeUninit::uninit(); MOST_READY];
            let ready = epoll::wait(epoll, &mut events, most.as_ref());
            let (ready, _) = ready.context("cannot wait for sockets")?;
            return Ok(ready.iter().map(|event| event.data.u64()).collect());
        }
        let sockets = self.sockets();
        let all: Vec<_> = sockets
            .by_token
            .iter()
            .map(|(token, socket)| (*token, Arc::clone(socket)))
            .collect();
        drop(sockets);
        let asked = all.iter();
        let mut asked: Vec<_> = asked
            .map(|(_, socket)| PollFd::from_borrowed_fd(socket.descriptor(), PollFlags::IN))
            .collect();
        poll(&mut asked, most.as_ref()).context("cannot wait for sockets")?;
        let ready = all
            .iter()
            .zip(&asked)
            .filter(|(_, asked)| !asked.revents().is_empty());
        Ok(ready.map(|((token, _), _)| *token).collect())
    }

    fn sockets(&self) -> MutexGuard<'_, Sockets> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Socket {
    fn descriptor(&self) -> BorrowedFd<'_> {
        match self {
            Self::Endpoint(place) => place.listener.as_fd(),
            Self::Client(client) => client.stream.as_fd(),
            Self::Peer(stream, _) => stream.as_fd(),
            Self::HandedBack(handed_back) => handed_back.as_fd(),
        }
    }
}

/// As calls that wait for sockets count, and no shorter.
fn whole_milliseconds(time: Duration) -> Timespec {
    let ms = i64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(i64::MAX);
    Timespec {
        tv_sec: ms / 1_000,
        tv_nsec: ms % 1_000 * 1_000_000,
    }
}
