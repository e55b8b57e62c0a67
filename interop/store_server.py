"""A hash store in memory, on the reference's packet connection.

    store_server.py serve PATH CLASS    answers one connection
"""

import socket
import sys
import threading

from peer import connection
from store_elements import *


class Store:
    """Handles requests. The connection runs handlers side by side."""

    def __init__(self, hash_class):
        self.hash_class = hash_class
        self.lock = threading.Lock()
        self.blocks = {}  # by code
        self.archives = {}  # lists of entries by name

    def handle(self, rq_type, flags, payload):
        with self.lock:
            request = Reader(payload)
            handler = self.handlers[rq_type]
            if rq_type in (HASH_CODES, HASH_OF_HASH_CODES):
                return handler(self, request, flags)
            return handler(self, request)

    def own(self, hash_class):
        if hash_class is not self.hash_class:
            raise ValueError("another hash class: " + hash_class.name)

    def add(self, request):
        hash_class = request.hash_class()
        block = request.data()
        request.end()
        self.own(hash_class)
        code = hash_class.code(block)
        self.blocks[code] = block
        return code

    def get(self, request):
        code = self.code(request)
        return (1, self.blocks[code]) if code in self.blocks else None

    def contains(self, request):
        return int(self.code(request) in self.blocks)

    @staticmethod
    def code(request):
        code = request.code()
        request.end()
        return code

    def flush(self, request):
        request.end()

    def length(self, request):
        request.end()
        return number(len(self.blocks))

    def window(self, request, flags):
        if flags not in (0, START, START | AFTER):
            raise ValueError("flags %#x" % flags)
        self.own(CLASSES[request.string()])
        start = request.code() if flags & START else b""
        length = request.number()
        request.end()
        codes = sorted(c for c in self.blocks if c > start or c == start and not flags & AFTER)
        return codes[:length] if length else codes

    def hash_codes(self, request, flags):
        return b"".join(self.window(request, flags))

    def hash_of_hash_codes(self, request, flags):
        return self.hash_class.hash_of_codes(self.window(request, flags))

    def archive(self, request):
        return self.archives.setdefault(request.string(), [])

    def archive_last(self, request):
        entries = self.archive(request)
        request.end()
        return (1, entries[-1]) if entries else None

    def archive_update(self, request):
        self.archive(request).append(request.rest())

    def archive_list(self, request):
        entries = self.archive(request)
        request.end()
        return b"".join(entries)

    def contains_indirect(self, request):
        return int(self.complete(self.code(request)))

    def complete(self, code):
        """Is an indirect block there with all that it refers to?"""
        if code not in self.blocks:
            return False
        references = Reader(self.blocks[code])
        while references.more():
            inner = Reader(references.data())
            flags, _ = inner.number(), inner.number()
            if flags & ~1:
                raise ValueError("only references to blocks are understood")
            referred = self.code(inner)
            if not (self.complete(referred) if flags else referred in self.blocks):
                return False
        return True

    handlers = [
        add, get, contains, flush, hash_codes, hash_of_hash_codes,
        archive_last, archive_update, archive_list, length, contains_indirect,
    ]


def serve(path, class_name):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    print("listening", flush=True)
    sock, _ = listener.accept()
    with connection(sock, "0", Store(CLASSES[class_name]).handle) as conn:
        conn.join_recv()


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
