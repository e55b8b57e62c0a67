"""The Python side of the interop tests: one packet connection over a Unix socket.

    peer.py serve PATH GRACE             answers one connection
    peer.py client PATH GRACE SCENARIO   asks, and checks the answers

GRACE is the packet grace in seconds, or "default". The process ends with 0 when the
connection has ended in order and all answers were right.
"""

import hashlib
import os
import socket
import sys
import threading
import time

from cs.packetstream import PacketConnection

ECHO, REVERSE, FAIL, NONE, NUMBER, TEXT, SLEEP, CALL_BACK, DIE = range(100, 109)


def connection(sock, grace, handler):
    options = {} if grace == "default" else {"packet_grace": float(grace)}
    descriptors = os.dup(sock.fileno()), os.dup(sock.fileno())
    return PacketConnection(descriptors, "python", request_handler=handler, **options)


def serve(path, grace):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    print("listening", flush=True)
    sock, _ = listener.accept()
    conn = None
    ready = threading.Event()

    def handler(rq_type, flags, payload):
        ready.wait()
        payload = bytes(payload)
        if rq_type == ECHO:
            return flags, payload
        if rq_type == REVERSE:
            return 0x11, payload[::-1]
        if rq_type == FAIL:
            raise ValueError("asked to fail")
        if rq_type == NONE:
            return None
        if rq_type == NUMBER:
            return len(payload)
        if rq_type == TEXT:
            return "some text"
        if rq_type == SLEEP:
            time.sleep(int(payload) / 1000)
            return payload
        if rq_type == CALL_BACK:
            ok, _, back = conn.submit(0, 0, payload)()
            assert ok
            return bytes(back) + b" came back"
        if rq_type == DIE:
            os._exit(7)
        raise ValueError("no such type: %r" % rq_type)

    conn = connection(sock, grace, handler)
    ready.set()
    with conn:
        conn.join_recv()


def client(path, grace, scenario):
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(path)
    conn = connection(sock, grace, lambda rq_type, flags, payload: (flags, bytes(payload)))
    with conn:
        globals()["client_" + scenario](conn)


def want(result, flags, payload):
    ok, got_flags, got = result
    assert ok and got_flags == flags and bytes(got) == payload, (ok, got_flags, bytes(got)[:100])


# The scenarios of the client. The types are those of the diag service.


def client_sync(conn):
    for i in range(20):
        want(conn.submit(0, i, b"sync %d" % i)(), i, b"sync %d" % i)


def client_sequential(conn):
    for i in range(10000):
        want(conn.submit(0, i, b"%d" % i)(), i, b"%d" % i)


def client_pipelined(conn):
    results = [conn.submit(1, 0, b"%d" % i) for i in range(5000)]
    for i, result in enumerate(results):
        want(result(), 0x11, (b"%d" % i)[::-1])


def client_order(conn):
    slow = conn.submit(5, 0, b"400")
    ended = []
    slow.notify(lambda r: ended.append("slow"))
    for i in range(10):
        want(conn.submit(0, 0, b"quick")(), 0, b"quick")
        ended.append("quick")
    want(slow(), 0, b"")
    assert ended[0] == "quick", ended


def client_payloads(conn):
    for size in 0, 1, 127, 128, 16383, 16384, 65536, 1 << 20, 4 << 20:
        payload = hashlib.sha256(b"%d" % size).digest() * (size // 32 + 1)
        payload = payload[:size]
        want(conn.submit(0, 0, payload)(), 0, payload)
        want(conn.submit(6, 0, payload)(), 0, hashlib.sha256(payload).hexdigest().encode())


def client_errors(conn):
    ok, _, payload = conn.submit(2, 0, b"x")()
    assert not ok, payload
    ok, _, payload = conn.submit(99, 0, b"x")()
    assert not ok, payload
    want(conn.submit(0, 3, b"goes on")(), 3, b"goes on")


def client_callbacks(conn):
    results = [conn.submit(7, 0, b"call me back %d" % i) for i in range(100)]
    for i, result in enumerate(results):
        ok, _, payload = result()
        assert ok and b"call me back %d" % i in bytes(payload), (ok, payload)


def client_die(conn):
    for _ in range(50):
        conn.submit(5, 0, b"2000")
    time.sleep(0.2)
    os._exit(7)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
