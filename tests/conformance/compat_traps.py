"""What the dialect relies on: each of these behaves alike, and a new interpreter that breaks one is found here."""

import struct
from collections import deque, namedtuple

print(b"ab" < b"b", b"" < b"a", b"\xff" > b"\x7f\xff", (1, b"a") < (1, b"b"))
print(memoryview(b"abc")[1:] == b"bc", b"a" + memoryview(b"b"), 97 in b"abc", b"b" in b"abc")
print(bytes(memoryview(b"abcdef")[1:3]), int.from_bytes(memoryview(b"ab"), "big"))
print(-7 // 2, -7 % 2, -5 >> 1, -5 & 0xFF, ~5, divmod(-7, 3), 3 ** 80, pow(3, 2**200, 2**255 - 19))
print((2**64).to_bytes(9, "big"), struct.unpack_from("<I", b"\0\1\2\3\4", 1))
print(struct.pack(">QH", 2**64 - 1, 65535))  # mp: in range
for bad in ((300, 1), (2**64, 8)):
    try:
        bad[0].to_bytes(bad[1], "big")
    except OverflowError:
        print("too large for", bad[1])
print("%5d|%-5s|%05x|%r|%s" % (3, "a", 255, b"x", [b"a", None, True]), f"{5:04x} {'a'!r} {2**70}")  # noqa: UP031
print(sorted([(2, b"a"), (1, b"z"), (1, b"b")]), sorted({3, 1, 2}), sorted({b"b": 1, b"a": 2}))
print({(1, b"a"): 2}[(1, b"a")], {b"ab": 1}.get(bytes(memoryview(b"xab")[1:])), {1: 1} | {1: 2})
items = deque((), 3)
for i in range(5):
    items.append(i)
print(list(items), items.popleft(), len(items), bool(deque((), 1)))
Pair = namedtuple("Pair", ("a", "b"))
print(Pair(1, b=2).a, Pair(1, 2) == (1, 2))
data = bytearray(b"abc")
data[1:1] = b"xy"
data += b"z"
data[0:2] = b""
print(bytes(data), bytes(reversed(b"ab")), list(range(10, 0, -3)), [1, 2, 3][1:], b"a.b.c".split(b"."))
print(bytes.fromhex("00ff"), b"\0\xff".hex(), len("aé€😀".encode()), "aé€😀".encode().decode() == "aé€😀")


class Base:
    def __init__(self):
        self.x = 1

    def __eq__(self, other):
        return self.x == other.x

    def __hash__(self):
        return self.x

    def __len__(self):
        return 0


class Child(Base):
    def __init__(self, x):
        super().__init__()
        self.x += x


print(bool(Child(1)), Child(1) == Child(1), Child(1) in {Child(1): 0}, type(Child(1)).__name__, Child.__name__)


def generator():
    got = yield 1
    try:
        yield got
    finally:
        print("closed")


g = generator()
print(next(g), g.send(5))
g.close()
try:
    raise ValueError("a", 2)
except ValueError as error:
    print(error.args, str(error))
