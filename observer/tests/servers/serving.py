"""Servers that serve in ways of their own, for the tests of hints and protocols. Each says where it listens, and ends
when its standard input is closed.

    serving.py prefork           a master, whose two children accept on its socket; SIGHUP replaces them by two others
    serving.py forking           a child for each connection, which answers one request and ends before it is closed
    serving.py again             the same, and each child has the number of the first
    serving.py unix PATH         listens on a Unix socket, and on a TCP port that nobody is to use
    serving.py loop PEER         an event loop, which GET /ask keeps waiting until a slow peer has answered
    serving.py pool              four threads take what the first one finds readable; GET /hold waits there for 50 ms,
                                 and GET /large has an answer that no socket has room for
    serving.py fed               one thread reads all requests, and four others answer what it has read; GET /hold
                                 sleeps there for 50 ms
    serving.py jobs              an event loop, which has four threads do jobs of up to 30 ms for it and answers when
                                 they are done: GET /sleep and GET /poll wait there in a call of that name, and what
                                 else comes does nothing
    serving.py interpreter [PORT]
                                 a thread for each connection; GET /compute runs there for 40 ms, and GET /truth tells
                                 of each from when to when it did (Unix time), and for how long it had a CPU, in ns
    serving.py lock              a thread for each connection; GET /hold sleeps for 20 ms with a lock that they share
    serving.py deaf              accepts nothing, and has a queue for one connection
    serving.py tongues           answers in HTTP/1 what asks in HTTP/1, and anything else with what it got
"""

import asyncio
import concurrent.futures
import os
import queue
import select
import signal
import socket
import sys
import threading
import time

HTTP = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
NAMED = b"HTTP/1.1 200 OK\r\nServed-By: %d\r\nContent-Length: 2\r\n\r\nok"
LARGE = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (32 << 20) + bytes(32 << 20)
UPGRADE = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n"
LOCK = threading.Lock()


def listen(port, backlog):
    listener = socket.create_server(("127.0.0.1", port), backlog=backlog)
    return listener, "%s:%d" % listener.getsockname()


def converse(connection):
    with connection:
        while got := connection.recv(4096):
            is_http = got.split(b"\r\n")[0].endswith(b" HTTP/1.1")
            connection.sendall(UPGRADE if b"Upgrade" in got else HTTP if is_http else got)


def loop(listener, peer):
    """An event loop that is kept waiting in poll(): Python's sockets with a time limit do so before they receive."""

    async def converse_in_turn(reader, writer):
        while got := await reader.read(4096):
            if got.startswith(b"GET /ask"):
                with socket.create_connection(peer, timeout=5) as asked:
                    asked.sendall(b"30000\n")
                    asked.recv(128)
            writer.write(HTTP)

    async def serve():
        async with await asyncio.start_server(converse_in_turn, sock=listener) as server:
            await server.serve_forever()

    asyncio.run(serve())


def pool(listener):
    """One thread accepts and watches all connections, and four others read and answer what it hands to them."""
    ready, poller, connections = queue.Queue(), select.epoll(), {}
    once = select.EPOLLIN | select.EPOLLONESHOT

    def serve():
        while True:
            connection = ready.get()
            if got := connection.recv(4096):
                if got.startswith(b"GET /hold "):
                    threading.Event().wait(0.05)
                connection.sendall(LARGE if got.startswith(b"GET /large ") else HTTP)
                poller.modify(connection, once)

    for _ in range(4):
        threading.Thread(target=serve, daemon=True).start()
    poller.register(listener, select.EPOLLIN)
    while True:
        for fd, _ in poller.poll():
            if fd == listener.fileno():
                connection, _ = listener.accept()
                connections[connection.fileno()] = connection
                poller.register(connection, once)
            else:
                ready.put(connections[fd])


def fed(listener):
    """One thread waits for all connections and reads from them, and four others answer what it has read."""
    read, poller, connections = queue.SimpleQueue(), select.epoll(), {}

    def answer():
        while True:
            connection, got = read.get()
            if got.startswith(b"GET /hold "):
                time.sleep(0.05)
            connection.sendall(HTTP)

    for _ in range(4):
        threading.Thread(target=answer, daemon=True).start()
    poller.register(listener, select.EPOLLIN)
    while True:
        for fd, _ in poller.poll():
            if fd == listener.fileno():
                connection, _ = listener.accept()
                connections[connection.fileno()] = connection
                poller.register(connection, select.EPOLLIN)
            elif got := connections[fd].recv(4096):
                read.put((connections[fd], got))
            else:
                connections.pop(fd).close()


def jobs(listener):
    """An event loop that gives jobs to a pool, which hands them back."""
    threads = concurrent.futures.ThreadPoolExecutor(4)

    def job(got):
        if got.startswith(b"GET /sleep"):
            time.sleep(0.03)
        elif got.startswith(b"GET /poll"):
            waiting = select.poll()
            waiting.poll(20)

    async def converse_in_turn(reader, writer):
        while got := await reader.read(4096):
            await asyncio.get_running_loop().run_in_executor(threads, job, got)
            writer.write(HTTP)

    async def serve():
        async with await asyncio.start_server(converse_in_turn, sock=listener) as server:
            await server.serve_forever()

    asyncio.run(serve())


COMPUTED = []


def compute(connection):
    """Answers its requests. Whoever computes needs the interpreter's lock, and so does all that answers."""
    with connection:
        while got := connection.recv(4096):
            if got.startswith(b"GET /compute "):
                began, had = time.time_ns(), time.thread_time_ns()
                until = had + 40_000_000
                while time.thread_time_ns() < until:
                    sum(range(1000))
                COMPUTED.append((began, time.time_ns(), time.thread_time_ns() - had))
            if got.startswith(b"GET /truth "):
                told = "".join("%d %d %d\n" % one for one in COMPUTED).encode()
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(told) + told)
            else:
                connection.sendall(HTTP)


def hold(connection):
    with connection:
        while got := connection.recv(4096):
            if got.startswith(b"GET /hold "):
                with LOCK:
                    time.sleep(0.02)
            connection.sendall(HTTP)


def accept(listener, converse=converse):
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=converse, args=(connection,), daemon=True).start()


def work(listener, ends):
    """One connection after the other, until the other side of `ends` is closed."""
    while True:
        ready, _, _ = select.select([listener, ends], [], [])
        if ends in ready:
            os._exit(0)
        try:
            connection, _ = listener.accept()
        except BlockingIOError:
            continue
        connection.setblocking(True)
        answer(connection)


def answer(connection):
    with connection:
        connection.recv(4096)
        connection.sendall(NAMED % os.getpid())


def fork_for_each(listener, again):
    """A child for each connection; with `again` each has the number of the first, as far as that can be had."""
    first = None
    while True:
        connection, _ = listener.accept()
        while True:
            if first:
                with open("/proc/sys/kernel/ns_last_pid", "w") as last:
                    last.write(str(first - 1))
            child = os.fork()
            if child == 0:
                if first in (None, os.getpid()):
                    answer(connection)
                os._exit(0)
            os.waitpid(child, 0)
            if first in (None, child):
                break
        connection.close()
        if again:
            first = first or child


def prefork(listener):
    """Forks two workers. They end when the pipe that is given is closed."""
    ends, keeps = os.pipe()
    for _ in range(2):
        if os.fork() == 0:
            os.close(keeps)
            for other in PIPES:
                os.close(other)
            work(listener, ends)
    os.close(ends)
    return keeps


PIPES = []


def main():
    mode = sys.argv[1]
    port = int(sys.argv[2]) if sys.argv[2].isdigit() else 0
    listener, address = listen(port, 0 if mode == "deaf" else 64)
    if mode == "prefork":
        listener.setblocking(False)
        PIPES.append(prefork(listener))

        def replace(*_):
            PIPES.append(prefork(listener))
            os.close(PIPES.pop(0))
            os.wait(), os.wait()

        signal.signal(signal.SIGHUP, replace)
    elif mode in ("forking", "again"):
        again = mode == "again"
        threading.Thread(target=fork_for_each, args=(listener, again), daemon=True).start()
    elif mode == "unix":
        unix = socket.create_server(sys.argv[2], family=socket.AF_UNIX)
        threading.Thread(target=accept, args=(unix,), daemon=True).start()
    elif mode == "pool":
        threading.Thread(target=pool, args=(listener,), daemon=True).start()
    elif mode == "fed":
        threading.Thread(target=fed, args=(listener,), daemon=True).start()
    elif mode == "jobs":
        threading.Thread(target=jobs, args=(listener,), daemon=True).start()
    elif mode == "loop":
        host, port = sys.argv[2].split(":")
        threading.Thread(target=loop, args=(listener, (host, int(port))), daemon=True).start()
    elif mode != "deaf":
        how = {"interpreter": compute, "lock": hold}.get(mode, converse)
        threading.Thread(target=accept, args=(listener, how), daemon=True).start()
    print("listening on " + address, flush=True)
    sys.stdin.buffer.read()


main()
