"""The digest of everything that all nodes of a world did: the same for one seed on every interpreter, every time.

Each effect is written as one line (time, node, name, arguments; a frame by its length and CRC-32), and the lines are
hashed in a chain. The first line in which two runs differ is found with `lines`.
"""

import binascii

from edge.compat.hashing import sha256
from edge.core import effects
from edge.core.message import Message

BLOCK_LINES = 256


class Trace:
    """lines: None, or a function that is given every line (text) as it comes."""

    def __init__(self, lines=None):
        self.count = 0
        self._lines = lines
        self._block = []
        self._chain = bytes(32)

    def add(self, now_ms, number, effect):
        """Note one effect of node `number` at simulated time `now_ms`."""
        arguments = effect[1:]
        if effect[0] == effects.SEND:
            arguments = (effect[1], effect[2], effect[3], len(effect[4]), binascii.crc32(effect[4]))
        line = "%d %d %s %s" % (now_ms, number, effect[0], " ".join([_text(item) for item in arguments]))
        self.count += 1
        if self._lines is not None:
            self._lines(line)
        self._block.append(line)
        if len(self._block) >= BLOCK_LINES:
            self._fold()

    def digest(self):
        """The digest so far, 64 hexadecimal digits."""
        self._fold()
        return self._chain.hex()

    def _fold(self):
        self._chain = sha256(self._chain, "\n".join(self._block).encode())
        self._block = []


def _text(item):
    if isinstance(item, Message):
        return item.id.hex()
    if isinstance(item, bytes):
        return binascii.hexlify(item).decode()
    if isinstance(item, str):
        return item
    if isinstance(item, (list, tuple)):
        return ",".join([_text(part) for part in item])
    if isinstance(item, dict):
        return ",".join([key + "=" + _text(item[key]) for key in sorted(item)])
    if item is None or item is True or item is False:
        return {None: "-", True: "yes", False: "no"}[item]
    return "%d" % item
