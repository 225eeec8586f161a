"""Ed25519 verification (RFC 8032) in plain Python, for a microcontroller that has no libsodium.

It accepts what libsodium 1.0.18 accepts and nothing else: S below the group order, a canonical key, neither key nor R
of small order. It does not run in constant time, so it refuses every use of a secret key that a stranger could time:
signing, key agreement, opening. Deriving our own public key, once at boot, is allowed. A verification takes about
7 ms on a PC and some hundred on a microcontroller: there the gateway verifies, see docs/LEAF.md.
"""

BACKEND = "pure"

_P = 2**255 - 19
_L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, _P - 2, _P) % _P
_SQRT_M1 = pow(2, (_P - 1) // 4, _P)
_MASK = 2**64 - 1


# --- SHA-512 (FIPS 180-4)
def _root(number, power):
    """The first 64 fractional bits of the square (2) or cube (3) root: the constants of SHA-512."""
    target = number << 64 * power
    low, high = 0, 1 << 72
    while low < high:
        middle = (low + high + 1) >> 1
        if middle**power <= target:
            low = middle
        else:
            high = middle - 1
    return low & _MASK


def _constants():
    primes = []
    n = 2
    while len(primes) < 80:
        if all(n % p for p in primes):
            primes.append(n)
        n += 1
    return [_root(p, 2) for p in primes[:8]], [_root(p, 3) for p in primes]


_H0, _K = _constants()


def sha512(data):
    """The SHA-512 (64 bytes) of `data`."""
    size = len(data)
    data = data + b"\x80" + bytes(-(size + 17) % 128) + (size * 8).to_bytes(16, "big")
    state = list(_H0)
    for start in range(0, len(data), 128):
        _sha512_block(state, data, start)
    return b"".join([word.to_bytes(8, "big") for word in state])


def _sha512_block(state, data, start):
    w = [int.from_bytes(data[i:i + 8], "big") for i in range(start, start + 128, 8)]
    for i in range(16, 80):
        x = w[i - 15]
        x |= x << 64  # twice the word, so that a rotation is one shift
        y = w[i - 2]
        y |= y << 64
        w.append((w[i - 16] + w[i - 7] + ((x >> 1 ^ x >> 8 ^ (x & _MASK) >> 7) & _MASK)
                  + ((y >> 19 ^ y >> 61 ^ (y & _MASK) >> 6) & _MASK)) & _MASK)
    a, b, c, d, e, f, g, h = state
    for i in range(80):
        x = e | e << 64
        y = a | a << 64
        t = h + ((x >> 14 ^ x >> 18 ^ x >> 41) & _MASK) + (g ^ e & (f ^ g)) + _K[i] + w[i]
        u = ((y >> 28 ^ y >> 34 ^ y >> 39) & _MASK) + (a & b | c & (a | b))
        h, g, f, e, d, c, b, a = g, f, e, (d + t) & _MASK, c, b, a, (t + u) & _MASK
    for i, word in enumerate((a, b, c, d, e, f, g, h)):
        state[i] = (state[i] + word) & _MASK


# --- the curve: points are (x, y, z, t), x*y = z*t (Hisil and others, 2008, for a = -1)
def _add(p, q):
    x1, y1, z1, t1 = p
    x2, y2, z2, t2 = q
    a = (y1 - x1) * (y2 - x2) % _P
    b = (y1 + x1) * (y2 + x2) % _P
    c = 2 * _D * t1 * t2 % _P
    d = 2 * z1 * z2
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _double(p):
    x, y, z, t = p
    a = x * x
    b = y * y
    e = ((x + y) * (x + y) - a - b) % _P
    g = (b - a) % _P
    f = g - 2 * z * z % _P
    h = -(a + b) % _P
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


_ZERO = (0, 1, 1, 0)


def _decode(data):
    """The point whose encoding is `data` (32 bytes), or None."""
    y = int.from_bytes(data, "little")
    sign = y >> 255
    y &= 2**255 - 1
    if y >= _P:
        return None
    u = (y * y - 1) % _P
    v = (_D * y * y + 1) % _P
    x = u * v**3 * pow(u * v**7, (_P - 5) // 8, _P) % _P
    check = v * x * x % _P
    if check != u:
        if check != _P - u:
            return None
        x = x * _SQRT_M1 % _P
    if x & 1 != sign:
        x = -x % _P
    return x, y, 1, x * y % _P


def _encode(p):
    inverse = pow(p[2], _P - 2, _P)
    x = p[0] * inverse % _P
    y = p[1] * inverse % _P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _small_order(p):
    for _ in range(3):
        p = _double(p)
    return p[0] % _P == 0 and (p[1] - p[2]) % _P == 0


def _multiply_two(m, p, n, q):
    """m*p + n*q, two bits of each scalar at a time (Straus)."""
    table = [_ZERO] * 16
    for i in range(1, 16):
        table[i] = _add(table[i - 1], q) if i & 3 else _add(table[i - 4], p)
    out = _ZERO
    for shift in range(254, -1, -2):
        out = _double(_double(out))
        index = (m >> shift & 3) << 2 | n >> shift & 3
        if index:
            out = _add(out, table[index])
    return out


_BASE = _decode(b"\x58" + b"\x66" * 31)


# --- what edge.compat.crypto asks for
def verify(public, message, signature):
    """True when `signature` (64 bytes) is the Ed25519 signature of `message` under `public` (32 bytes)."""
    if len(public) != 32 or len(signature) != 64:
        return False
    s = int.from_bytes(signature[32:], "little")
    if s >= _L:
        return False
    a = _decode(public)
    if a is None or _small_order(a):
        return False
    h = int.from_bytes(sha512(signature[:32] + public + message), "little") % _L
    r = _multiply_two(s, _BASE, h, (-a[0], a[1], a[2], -a[3]))
    return not _small_order(r) and _encode(r) == signature[:32]


def public_key(seed):
    """The Ed25519 public key (32 bytes) of `seed` (32 bytes)."""
    if len(seed) != 32:
        raise ValueError("seed must be 32 bytes")
    scalar = int.from_bytes(sha512(seed)[:32], "little") & (2**254 - 8) | 2**254
    return _encode(_multiply_two(scalar, _BASE, 0, _ZERO))


def _refused(*arguments):
    raise NotImplementedError("this needs libsodium: the pure backend never works with a secret key (docs/LEAF.md)")


sign = x25519 = x25519_base = ed_seed_to_x = ed_public_to_x = _refused
aead_encrypt = aead_decrypt = seal = unseal = _refused
