"""Randomness with a seed, the same on every interpreter: xoshiro128** (Blackman and Vigna, 2018).

For delays, splits and the simulator, where one seed must make one world. Never for keys: those come from the host.
All arithmetic stays below 2^63, so it needs no big integers on MicroPython.
"""

from edge.compat.hashing import sha256

_MASK = 0xFFFFFFFF


class Rng:
    """seed: an integer 0..2^64-1 or bytes."""

    def __init__(self, seed):
        data = seed.to_bytes(8, "big") if isinstance(seed, int) else seed
        state = sha256(b"waypost rng", data)
        self._s0 = int.from_bytes(state[0:4], "big")
        self._s1 = int.from_bytes(state[4:8], "big")
        self._s2 = int.from_bytes(state[8:12], "big")
        self._s3 = int.from_bytes(state[12:16], "big") | 1  # never all zero

    def next32(self):
        """The next integer, 0..2^32-1."""
        s1 = self._s1
        x = s1 * 5 & _MASK
        x = (x << 7 | x >> 25) & _MASK
        self._s2 ^= self._s0
        self._s3 ^= s1
        self._s1 = s1 ^ self._s2
        self._s0 ^= self._s3
        self._s2 ^= s1 << 9 & _MASK
        self._s3 = (self._s3 << 11 | self._s3 >> 21) & _MASK
        return x * 9 & _MASK

    def below(self, n):
        """An integer 0..n-1, each as likely as the other. n: 1..2^32."""
        if not 0 < n <= _MASK + 1:
            raise ValueError("n must be 1..2^32, not %r" % n)
        bound = (_MASK + 1) // n * n
        while True:  # ends: more than half of all values are below the bound
            x = self.next32()
            if x < bound:
                return x % n

    def bytes(self, n):
        """n bytes."""
        out = bytearray()
        while len(out) < n:
            out.extend(self.next32().to_bytes(4, "big"))
        return bytes(out[:n])

    def shuffle(self, items):
        """Shuffle a list in place."""
        for i in range(len(items) - 1, 0, -1):
            j = self.below(i + 1)
            items[i], items[j] = items[j], items[i]

    def chance(self, num, den):
        """True in num of den cases."""
        return self.below(den) < num
