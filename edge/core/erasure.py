"""Systematic Cauchy Reed-Solomon over GF(256): any k of k + m pieces give the k pieces of data back. PROTOCOL 15.6.

Piece i < k is data; piece i >= k is the sum of c(i, j) * data j with c(i, j) = 1 / (i + j) in the field of
x^8 + x^4 + x^3 + x^2 + 1, where addition is exclusive-or. Every square part of such a matrix can be inverted, and by a
formula. A product of a whole piece is one table look-up a byte, a sum one operation on a large integer. Whether the
pieces are the right ones nobody can tell here.
"""

PIECES_MAX = 256  # data and parity: a piece is named by one byte


def parity(pieces, index):
    """The piece (bytes) with this index, len(pieces)..255, of k pieces of data, all of one length.

    Raises ValueError where index or number of pieces are out of range.
    """
    k = len(pieces)
    if not 0 < k <= index < PIECES_MAX:
        raise ValueError("piece %r of %d pieces of data does not exist" % (index, k))
    total = 0
    for j in range(k):
        total ^= _product(pieces[j], -_LOG[index ^ j])
    return total.to_bytes(len(pieces[0]), "little")


def restore(k, pieces):
    """The k pieces of data (list of bytes) from `pieces`, a dict index -> bytes of one length, with k of them or more.

    Only k are used: the data that is there, and parity by ascending index. Raises ValueError where they are too few.
    """
    rows = sorted([index for index in pieces if index >= k])
    lost = [index for index in range(k) if index not in pieces]
    if len(rows) < len(lost):
        raise ValueError("%d pieces are needed, not %d" % (k, len(pieces)))
    if not lost:
        return [pieces[index] for index in range(k)]
    rows = rows[:len(lost)]
    sums = []  # what the lost data alone contributes to each piece of parity
    for row in rows:
        total = int.from_bytes(pieces[row], "little")
        for j in range(k):
            if j in pieces:
                total ^= _product(pieces[j], -_LOG[row ^ j])
        sums.append(total)
    size = len(pieces[rows[0]])
    sums = [total.to_bytes(size, "little") for total in sums]
    found = _solve(rows, lost, sums, size)
    return [found[index] if index in found else pieces[index] for index in range(k)]


def _solve(rows, lost, sums, size):
    """{index: data} by the inverse of the Cauchy matrix: entry (j, i) is a(j) b(i) / (lost j + row i), with
    a(j) = prod(lost j + rows) / prod(lost j + other lost), b(i) = prod(row i + lost) / prod(row i + other rows)."""
    n = len(rows)
    of_row = [_spread(rows[i], lost) - _spread(rows[i], rows) for i in range(n)]
    found = {}
    for index in lost:
        mine = _spread(index, rows) - _spread(index, lost)
        total = 0
        for i in range(n):
            total ^= _product(sums[i], mine + of_row[i] - _LOG[index ^ rows[i]])
        found[index] = total.to_bytes(size, "little")
    return found


def _spread(one, others):
    """The logarithm of the product of all differences of `one` and others (itself left out)."""
    total = 0
    for other in others:
        if other != one:
            total += _LOG[one ^ other]
    return total


def _tables():
    log = bytearray(256)
    exp = bytearray(255)
    value = 1
    for i in range(255):
        exp[i] = value
        log[value] = i
        value <<= 1
        if value & 256:
            value ^= 0x11D
    log[0] = 255  # where a shifted table has its 0
    return bytes(log), bytes(exp + exp)


_LOG, _EXP = _tables()


def _product(piece, power):
    """`piece` (bytes) times the generator to this power, as a little-endian integer."""
    power %= 255
    if not power:
        return int.from_bytes(piece, "little")
    return int.from_bytes(_through(piece, _through(_LOG, _EXP[power:power + 255] + b"\0")), "little")


def _through_by_hand(piece, table):
    return bytes([table[byte] for byte in piece])


_through = getattr(bytes, "translate", _through_by_hand)
