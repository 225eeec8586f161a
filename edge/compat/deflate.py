"""Raw deflate (RFC 1951) with a preset dictionary, one face on CPython and MicroPython.

CPython has zlib. MicroPython 1.25 has a decoder without preset dictionaries: it is given the dictionary as a stored
block ahead of the data, which fills its window just the same. It has no encoder there, so a microcontroller sends
plain. Output is capped; what is malformed is None, never an exception. MicroPython's decoder is the laxer one: it lets
pass distances that reach beyond the dictionary, so what comes out must be checked by other means (here: a signature).
"""

try:
    import zlib  # mp: MicroPython takes the other branch
except ImportError:
    zlib = None
    import io

    import deflate as _deflate  # mp: CPython takes the other branch

WINDOW_BITS = 13
WINDOW_BYTES = 1 << WINDOW_BITS  # a dictionary and what is decoded with it must fit together


def _compress_zlib(data, dictionary):
    engine = zlib.compressobj(9, zlib.DEFLATED, -WINDOW_BITS, 9, 0, dictionary)
    return engine.compress(data) + engine.flush()


def _expand_zlib(data, dictionary, size_max):
    engine = zlib.decompressobj(-WINDOW_BITS, dictionary)
    try:
        out = engine.decompress(data, size_max + 1)
    except zlib.error:
        return None
    if not engine.eof or engine.unused_data or len(out) > size_max:
        return None
    return out


def _compress_nothing(data, dictionary):
    return None


def _expand_primed(data, dictionary, size_max):
    size = len(dictionary)
    head = b"\0" + size.to_bytes(2, "little") + (size ^ 0xFFFF).to_bytes(2, "little")
    source = io.BytesIO(head + dictionary + data)
    try:
        engine = _deflate.DeflateIO(source, _deflate.RAW, WINDOW_BITS)
        if engine.read(size) != dictionary:
            return None
        out = engine.read(size_max + 1)
        if len(out) > size_max or engine.read(1) or source.read(1):
            return None
    except (OSError, EOFError):
        return None
    return out


# compress(data, dictionary) -> bytes, or None where this interpreter has no encoder
# expand(data, dictionary, size_max) -> bytes, or None: malformed, cut short, followed by something, or too long
compress = _compress_zlib if zlib else _compress_nothing
expand = _expand_zlib if zlib else _expand_primed
