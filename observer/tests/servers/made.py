"""A server that makes machine code at run time and tells perf of it, as runtimes do that compile. It says where it
listens, and ends when its standard input is closed.

    made.py map     in /tmp/perf-PID.map
    made.py dump    in a jitdump file in its directory

GET /first and GET /second each run for some 40 ms of CPU in code of that name, which is made then; all of it at the
same place in memory.
"""

import ctypes
import mmap
import os
import socket
import struct
import sys
import threading
import time

MEMORY = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
START = ctypes.addressof(ctypes.c_char.from_buffer(MEMORY))
# push rbp; mov rbp, rsp; mov rcx, N; dec rcx; jnz; pop rbp; ret
CODE = b"\x55\x48\x89\xe5\x48\xb9%s\x48\xff\xc9\x75\xfb\x5d\xc3"
HTTP = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def in_map(path):
    told = open(path, "w", buffering=1)
    return lambda name, code: told.write("%x %x %s\n" % (START, len(code), name))


def in_dump(path):
    told = open(path, "w+b", buffering=0)
    told.write(struct.pack("=IIIIIIQQ", 0x4A695444, 1, 40, 62, 0, os.getpid(), time.monotonic_ns(), 0))
    # This is how it is found.
    in_dump.mapped = mmap.mmap(told.fileno(), 40, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_EXEC)

    def tell(name, code):
        text = name.encode() + b"\0"
        told.write(
            struct.pack("=IIQIIQQQQ", 0, 56 + len(text) + len(code), time.monotonic_ns(), os.getpid(),
                        threading.get_native_id(), START, START, len(code), 0) + text + code)

    return tell


def made(name, rounds, tell):
    code = CODE % struct.pack("=Q", rounds)
    MEMORY[:len(code)] = code
    tell(name, code)
    return ctypes.CFUNCTYPE(None)(START)


def rounds_of_40_ms():
    began = time.thread_time()
    made("measured", 10_000_000, lambda *_: None)()
    return int(10_000_000 * 0.04 / (time.thread_time() - began))


def serve(listener, tell):
    rounds, now = rounds_of_40_ms(), None
    while True:
        connection, _ = listener.accept()
        with connection:
            while got := connection.recv(4096):
                name = got.split(b" ")[1][1:].decode()
                if name != now:
                    run, now = made(name, rounds, tell), name
                run()
                connection.sendall(HTTP)


def end_with_stdin():
    sys.stdin.read()
    os._exit(0)


tell = in_map(f"/tmp/perf-{os.getpid()}.map") if sys.argv[1] == "map" else in_dump(f"jit-{os.getpid()}.dump")
threading.Thread(target=end_with_stdin, daemon=True).start()
listener = socket.create_server(("127.0.0.1", 0), backlog=64)
print("listening on %s:%d" % listener.getsockname(), flush=True)
serve(listener, tell)
