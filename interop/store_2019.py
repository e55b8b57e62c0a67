"""The store's own client and server class, of the last cs.vt that was published.

    store_2019.py client PATH CLASS    asks, and checks the answers
    store_2019.py serve PATH CLASS     answers one connection

It knows the request types 0 to 8, no blake3, and other flags of HashCodes.
"""

import collections
import collections.abc
import os
import socket
import sys

# Where they were before Python 3.10.
for name in collections.abc.__all__:
    if not hasattr(collections, name):
        setattr(collections, name, getattr(collections.abc, name))

from cs.vt import defaults
from cs.vt.block import Block
from cs.vt.dir import Dir, FileDirent
from cs.vt.hash import HASHCLASS_BY_NAME
from cs.vt.store import MappingStore
from cs.vt.stream import StoreError, StreamStore


def store(sock, hash_class, **options):
    descriptors = os.dup(sock.fileno()), os.dup(sock.fileno())
    return StreamStore("python", *descriptors, hashclass=hash_class, **options)


def client(path, class_name):
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(path)
    hash_class = HASHCLASS_BY_NAME[class_name]
    with store(sock, hash_class) as remote:
        check(remote, hash_class)
    with store(reconnected(path), hash_class, addif=True) as remote:
        assert remote.add(b"hello") == hash_class.from_chunk(b"hello")
        assert remote.add(b"only if missing") == hash_class.from_chunk(b"only if missing")


def reconnected(path):
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(path)
    return sock


def check(remote, hash_class):
    blocks = [b"", b"hello", b"k" * 16384, b"m" * (1 << 20)] + [b"block %d" % i for i in range(40)]
    hashes = [remote.add(block) for block in blocks]
    assert hashes == [hash_class.from_chunk(block) for block in blocks]
    pipelined = [b"pipelined %d" % i for i in range(500)]
    adding = [remote.add_bg(block) for block in pipelined]
    remote_hashes = [result() for result in adding]
    assert remote_hashes == [hash_class.from_chunk(block) for block in pipelined]
    blocks, hashes = blocks + pipelined, hashes + remote_hashes
    remote.flush()

    for h, block in zip(hashes[:44], blocks):
        assert remote.get(h) == block and remote[h] == block
        assert remote.contains(h) and h in remote
    missing = hash_class.from_chunk(b"missing")
    assert remote.get(missing) is None and not remote.contains(missing) and missing not in remote
    getting = [remote.get_bg(h) for h in hashes]
    assert [result() for result in getting] == blocks

    ordered = sorted(hashes)
    assert list(remote.hashcodes()) == ordered
    assert list(remote.hashcodes(length=7)) == ordered[:7]
    for length in 1, 7, None:
        covered = ordered[:length]
        joined = b"".join(bytes(h) for h in covered)
        expected = hash_class.from_chunk(bytes(hash_class.from_chunk(joined))), covered[-1]
        assert remote.hash_of_hashcodes(length=length) == expected

    # Its flags are others: with a start, or in reverse order, it is refused rather
    # than misunderstood.
    for window in [
        {"start_hashcode": ordered[3]},
        {"start_hashcode": ordered[3], "after": True},
        {"start_hashcode": ordered[3], "reverse": True},
        {"reverse": True},
    ]:
        for ask in remote.hashcodes, remote.hash_of_hashcodes:
            try:
                got = ask(length=2, **window)
            except StoreError:
                continue
            raise AssertionError((window, got))

    archive = remote.get_Archive("an archive")
    assert archive.last.when is None and list(archive) == []
    defaults.S = remote  # where blocks and directories are kept
    for i, entry in enumerate([FileDirent("file", Block(data=b"data of the file")), Dir("directory")]):
        archive.update(entry, when=1700000000.5 + i)
        last = archive.last
        assert last.when == 1700000000.5 + i and str(last.dirent) == str(entry), last.dirent
    assert remote.get(hashes[1]) == b"hello"  # the connection goes on


def serve(path, class_name):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    print("listening", flush=True)
    sock, _ = listener.accept()
    hash_class = HASHCLASS_BY_NAME[class_name]
    local = MappingStore("blocks", {}, hashclass=hash_class)
    with store(sock, hash_class, local_store=local) as remote:
        # It loses a request that comes while it starts.
        print("serving", flush=True)
        remote.join()


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
