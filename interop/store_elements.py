"""What the requests of the hash store are made of, in the reference's own encoding.

A code is a hash code as it travels: the number of its class and the hash.
"""

import hashlib

from blake3 import blake3
from cs.binary import BSData, BSString, BSUInt
from cs.buffer import CornuCopyBuffer

(
    ADD, GET, CONTAINS, FLUSH, HASH_CODES, HASH_OF_HASH_CODES,
    ARCHIVE_LAST, ARCHIVE_UPDATE, ARCHIVE_LIST, LENGTH, CONTAINS_INDIRECT,
) = range(11)

# Flags of HASH_CODES and HASH_OF_HASH_CODES.
AFTER, START = 1, 2


class HashClass:
    def __init__(self, number, name, function):
        self.number, self.name, self.function = number, name, function
        self.size = len(self.hash(b""))

    def hash(self, data):
        return self.function(data).digest()

    def code(self, data):
        return number(self.number) + self.hash(data)

    def sorted_codes(self, blocks):
        return sorted(self.code(data) for data in set(blocks))

    def hash_of_codes(self, codes):
        """The answer to HASH_OF_HASH_CODES for these codes."""
        hashes = b"".join(code[-self.size :] for code in codes)
        return self.code(self.hash(hashes)) + b"".join(codes[-1:])


CLASSES = {
    name: HashClass(i, name, function)
    for i, (name, function) in enumerate(
        [("sha1", hashlib.sha1), ("sha256", hashlib.sha256), ("blake3", blake3)]
    )
}


def number(n):
    return bytes(BSUInt(n))


def data(b):
    return bytes(BSData(b))


def string(s):
    return bytes(BSString(s))


def reference(code, span, indirect=False):
    """A reference to a block, as indirect blocks hold them."""
    return data(number(1 if indirect else 0) + number(span) + code)


class Reader:
    """Reads elements one after another; what is wrong or missing raises."""

    def __init__(self, payload):
        self.buffer = CornuCopyBuffer.from_bytes(bytes(payload))

    def number(self):
        return BSUInt.parse_value(self.buffer)

    def data(self):
        return BSData.parse_value(self.buffer)

    def string(self):
        return BSString.parse_value(self.buffer)

    def hash_class(self):
        return list(CLASSES.values())[self.number()]

    def code(self):
        hash_class = self.hash_class()
        return number(hash_class.number) + self.buffer.take(hash_class.size)

    def rest(self):
        return b"".join(self.buffer)

    def more(self):
        return not self.buffer.at_eof()

    def end(self):
        if self.more():
            raise ValueError("bytes are left over")
