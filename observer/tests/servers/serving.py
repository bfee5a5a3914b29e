"""Servers that serve in ways of their own, for the tests of hints and protocols. Each says where it listens, and ends
when its standard input is closed.

    serving.py prefork           a master, whose two children accept on its socket; SIGHUP replaces them by two others
    serving.py forking           a child for each connection, which answers one request and ends before it is closed
    serving.py again             the same, and each child has the number of the first
    serving.py unix PATH         listens on a Unix socket, and on a TCP port that nobody is to use
    serving.py tongues           answers in HTTP/1 what asks in HTTP/1, and anything else with what it got
"""

import os
import select
import signal
import socket
import sys
import threading

HTTP = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
NAMED = b"HTTP/1.1 200 OK\r\nServed-By: %d\r\nContent-Length: 2\r\n\r\nok"
UPGRADE = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n"


def listen():
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    return listener, "%s:%d" % listener.getsockname()


def converse(connection):
    with connection:
        while got := connection.recv(4096):
            is_http = got.split(b"\r\n")[0].endswith(b" HTTP/1.1")
            connection.sendall(UPGRADE if b"Upgrade" in got else HTTP if is_http else got)


def accept(listener):
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
    listener, address = listen()
    mode = sys.argv[1]
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
    else:
        threading.Thread(target=accept, args=(listener,), daemon=True).start()
    print("listening on " + address, flush=True)
    sys.stdin.buffer.read()


main()
