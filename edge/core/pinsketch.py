"""PinSketch over GF(2^32): a few bytes from which two sides learn how their sets of short ids differ. PROTOCOL 6.3.

A sketch of capacity c is the odd power sums s1, s3 .. s(2c-1) of its elements in GF(2)[x] / (x^32+x^7+x^3+x^2+1), each
four bytes little-endian, as libminisketch writes it for 32 bits. The exclusive-or of two sketches is the sketch of
the difference; a shorter one is a prefix of a longer one.

All arithmetic is on large integers in which every bit of an element has a slot of 6 bits and every element a field of
64 slots: an ordinary product then is a carry-less one (at most 32 ones meet in a slot), of one element with a whole
polynomial at once. Syndromes are solved by the inversionless Berlekamp-Massey algorithm (Sarwate and Shanbhag, 2001),
roots are found by Berlekamp's trace algorithm. No input takes longer than a full sketch does.
"""

from edge.compat.hashing import sha256
from edge.core import limits

ELEMENT_BYTES = 4

_SLOT = 6
_HALF = 32 * _SLOT  # a reduced element
_FIELD = 64 * _SLOT  # a product of two
_FIELD_BYTES = _FIELD // 8
_FOLDS = (2 * _SLOT, 3 * _SLOT, 7 * _SLOT)  # x^32 = x^7 + x^3 + x^2 + 1


def short_id(key, salt):
    """The element, 1..2^32-1, that stands for `key` (bytes) under `salt` (bytes)."""
    return int.from_bytes(sha256(salt, key)[:ELEMENT_BYTES], "little") or 1


class Sketch:
    """The sketch of a set of elements 1..2^32-1 that tells up to `capacity` of them."""

    def __init__(self, capacity):
        if not 1 <= capacity <= limits.SKETCH_CAPACITY_MAX:
            raise ValueError("capacity must be 1..%d, not %r" % (limits.SKETCH_CAPACITY_MAX, capacity))
        self.capacity = capacity
        self._bits, self._low = _masks(capacity)
        self._sums = 0  # field i: s(2i+1)

    @staticmethod
    def from_bytes(data):
        """The sketch whose capacity is len(data) / 4. ValueError when that is not a whole number in range."""
        if len(data) % ELEMENT_BYTES:
            raise ValueError("a sketch has a multiple of %d bytes, not %d" % (ELEMENT_BYTES, len(data)))
        sketch = Sketch(len(data) // ELEMENT_BYTES)
        sketch._sums = _spread(data)
        return sketch

    def to_bytes(self, capacity=None):
        """The first `capacity` sums (all when None), 4 bytes each."""
        if capacity is None:
            capacity = self.capacity
        if not 1 <= capacity <= self.capacity:
            raise ValueError("capacity must be 1..%d, not %r" % (self.capacity, capacity))
        return _gather(self._sums & ((1 << capacity * _FIELD) - 1), capacity)

    def add(self, element):
        """Put `element` in, or take it out when it is there."""
        if not 0 < element < 1 << 32:
            raise ValueError("an element must be 1..2^32-1, not %r" % element)
        powers = _spread(element.to_bytes(ELEMENT_BYTES, "little"))
        step = _multiply(powers, powers)
        size = 1
        while size < self.capacity:  # e^1 .. e^(2n-1), times e^2n, gives e^(2n+1) .. e^(4n-1)
            powers |= _reduce((step * powers) & self._bits, self._low) << (size * _FIELD)
            step = _multiply(step, step)
            size *= 2
        self._sums ^= powers & self._low

    def merge(self, other):
        """Become the sketch of the difference between this set and that of `other`, at the smaller capacity."""
        if other.capacity < self.capacity:
            self.capacity = other.capacity
            self._bits, self._low = other._bits, other._low
        self._sums = (self._sums ^ other._sums) & self._low

    def decode(self, count_max=None):
        """The elements in ascending order, or None when they are more than `count_max` (the capacity when None).

        Of a set larger than the capacity c, a share of 1/c! has the same sums as a small one and no decoder can see
        it: leave sums to spare (count_max below the capacity; each one divides that share by 2^32) where c is small.
        """
        if count_max is None or count_max > self.capacity:
            count_max = self.capacity
        if not self._sums:
            return []
        found = _locator(self._sums, self.capacity)
        if found is None or found[1] > count_max:
            return None
        elements = _roots(found[0], found[1])
        if elements is None:
            return None
        again = Sketch(self.capacity)
        for element in elements:
            if not element:
                return None
            again.add(element)
        return sorted(elements) if again._sums == self._sums else None


def _masks(n):
    """(the lowest bit of every slot, the same of the lower 32 slots) of n fields."""
    slots = b"\x41\x10\x04"
    bits = int.from_bytes(slots * (16 * n), "little")
    low = int.from_bytes((slots * 8 + bytes(_FIELD_BYTES // 2)) * n, "little")
    return (bits, low)


_BITS, _LOW = _masks(1)


def _pattern(unit, n):
    """A mask of n fields whose lower half repeats `unit`."""
    half = _FIELD_BYTES // 2
    return int.from_bytes((unit * (half // len(unit)) + bytes(half)) * n, "little")


def _steps(n):
    """How bits that lie together come apart: (shift, mask after it), widest shift first."""
    return (
        (80, _pattern(b"\xff\xff" + bytes(10), n)),
        (40, _pattern(b"\xff" + bytes(5), n)),
        (20, _pattern(b"\x0f\x00\x00", n)),
        (10, _pattern(b"\x03\x30\x00", n)),
        (5, _pattern(b"\x41\x10\x04", n)),
    )


def _spread(data):
    """4-byte little-endian elements as fields."""
    n = len(data) // ELEMENT_BYTES
    gap = bytes(_FIELD_BYTES - ELEMENT_BYTES)
    fields = b"".join([data[i:i + ELEMENT_BYTES] + gap for i in range(0, len(data), ELEMENT_BYTES)])
    value = int.from_bytes(fields, "little")
    for shift, mask in _steps(n):
        value = (value | value << shift) & mask
    return value


def _gather(value, n):
    """n fields as 4-byte little-endian elements; the inverse of _spread."""
    steps = _steps(n)
    for at in range(4, -1, -1):
        mask = steps[at - 1][1] if at else _pattern(b"\xff" * 4 + bytes(20), n)
        value = (value | value >> steps[at][0]) & mask
    data = value.to_bytes(n * _FIELD_BYTES, "little")
    return b"".join([data[i:i + ELEMENT_BYTES] for i in range(0, len(data), _FIELD_BYTES)])


def _reduce(value, low):
    """Every field modulo the field polynomial; two folds suffice, as the first one leaves 38 slots at most."""
    a, b, c = _FOLDS
    high = (value >> _HALF) & low
    value = (value & low) ^ high ^ (high << a) ^ (high << b) ^ (high << c)
    high = (value >> _HALF) & low
    return (value & low) ^ high ^ (high << a) ^ (high << b) ^ (high << c)


def _multiply(a, b):
    return _reduce((a * b) & _BITS, _LOW)


def _inverse(a):
    """a^(2^32-2): with a(n) = a^(2^n-1), a(2n) = a(n)^(2^n) a(n) and a(n+1) = a(n)^2 a."""
    run = a  # a(1)
    size = 1
    for _ in range(4):  # 1, 3, 7, 15, 31
        power = run
        for _n in range(size):
            power = _multiply(power, power)
        run = _multiply(power, run)
        run = _multiply(_multiply(run, run), a)
        size = 2 * size + 1
    return _multiply(run, run)


def _locator(sums, capacity):
    """(monic polynomial whose roots are the elements, its degree) by riBM; None when there is no such one."""
    values = [0] * (2 * capacity + 1)
    for i in range(1, 2 * capacity + 1):
        if i % 2:
            values[i] = (sums >> (i // 2 * _FIELD)) & _LOW
        else:
            values[i] = _multiply(values[i // 2], values[i // 2])
    bits, low = _masks(3 * capacity + 1)
    delta = 1 << (3 * capacity * _FIELD)
    for i in range(2 * capacity):
        delta |= values[i + 1] << (i * _FIELD)
    theta = delta
    gamma = 1
    k = 0
    for _ in range(2 * capacity):
        first = delta & _LOW
        shifted = delta >> _FIELD
        delta = _reduce((shifted * gamma) & bits ^ (theta * first) & bits, low)
        if first and k >= 0:
            theta = shifted
            gamma = first
            k = -k - 1
        else:
            k += 1
    degree = (2 * capacity - k) // 2
    delta >>= capacity * _FIELD
    if not 0 < degree <= capacity or not delta & _LOW or _degree(delta, capacity) != degree:
        return None
    scale = _inverse(delta & _LOW)
    poly = 0
    for i in range(degree + 1):
        poly |= ((delta >> (i * _FIELD)) & _LOW) << ((degree - i) * _FIELD)
    bits, low = _masks(degree + 1)
    return (_reduce((poly * scale) & bits, low), degree)


def _degree(poly, degree_max):
    """The degree of a polynomial that is known to have `degree_max` at most; -1 of zero."""
    while degree_max >= 0 and not poly >> (degree_max * _FIELD):
        degree_max -= 1
    return degree_max


def _roots(poly, degree):
    """The roots of a monic polynomial as plain numbers, or None unless they are all different and in the field."""
    if degree == 1:
        return [_number(poly & _LOW)]
    conjugates = _conjugates(poly, degree)
    if conjugates is None:
        return None
    bits, low = _masks(degree)
    whole = [(poly, degree)]  # factors that are not linear yet
    roots = []
    for exponent in range(32):
        if not whole:
            break
        power = 1 << (exponent * _SLOT)  # runs through the basis 1, x, x^2 ..: some element of it parts any two roots
        trace = 0
        for conjugate in conjugates:
            trace ^= (conjugate * power) & bits
            power = _multiply(power, power)
        trace = _reduce(trace, low)
        parts = []
        for factor, size in whole:
            parts.extend(_part(factor, size, trace, degree - 1))
        whole = [part for part in parts if part[1] > 1]
        roots.extend([_number(part[0] & _LOW) for part in parts if part[1] == 1])
    return roots


def _number(element):
    return int.from_bytes(_gather(element, 1), "little")


def _conjugates(poly, degree):
    """x^(2^i) modulo `poly` for i = 0..31, or None when x^(2^32) is not x: then it has other than simple roots."""
    bits, low = _masks(2 * degree)
    doubled = []  # x^2i modulo poly
    power = 1
    tail = poly ^ 1 << (degree * _FIELD)
    for i in range(2 * degree - 1):
        if i % 2 == 0:
            doubled.append(power)
        power <<= _FIELD
        top = power >> (degree * _FIELD)
        if top:
            power = (power ^ top << (degree * _FIELD)) ^ _reduce((tail * top) & bits, low)
    conjugates = []
    current = 1 << _FIELD
    for _ in range(32):
        conjugates.append(current)
        total = 0
        for i in range(degree):
            one = (current >> (i * _FIELD)) & _LOW
            if one:
                total ^= (doubled[i] * _multiply(one, one)) & bits
        current = _reduce(total, low)
    return conjugates if current == conjugates[0] else None


def _part(factor, size, trace, trace_degree):
    """The monic factors that the greatest common divisor with `trace` cuts `factor` into: one or two (poly, degree)."""
    bits, low = _masks(size + 1)
    rest, rest_degree = _divide(trace, trace_degree, factor, size)[1:]
    if rest_degree < 0:
        return [(factor, size)]
    one, one_degree, two, two_degree = factor, size, rest, rest_degree
    while two_degree > 0:
        while one_degree >= two_degree:
            top = one >> (one_degree * _FIELD)
            other = two >> (two_degree * _FIELD)
            one = (one * other) & bits ^ ((two * top) & bits) << ((one_degree - two_degree) * _FIELD)
            one = _reduce(one, low)
            one_degree = _degree(one, one_degree - 1)
        one, one_degree, two, two_degree = two, two_degree, one, one_degree
    if two_degree == 0:
        return [(factor, size)]
    common = _reduce((one * _inverse(one >> (one_degree * _FIELD))) & bits, low)
    return [(common, one_degree), (_divide(factor, size, common, one_degree)[0], size - one_degree)]


def _divide(poly, degree, by, by_degree):
    """(quotient, remainder, its degree) of a division by a monic polynomial."""
    bits, low = _masks(max(degree, by_degree) + 1)
    quotient = 0
    for at in range(degree - by_degree, -1, -1):
        top = _reduce(poly >> ((at + by_degree) * _FIELD), _LOW)
        poly ^= ((by * top) & bits) << (at * _FIELD)
        poly &= (1 << ((at + by_degree) * _FIELD)) - 1
        quotient |= top << (at * _FIELD)
    poly = _reduce(poly, low)
    return (quotient, poly, _degree(poly, by_degree - 1))
