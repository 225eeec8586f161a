"""The body of a message on the air: known bodies as few bytes, any other one as it is. PROTOCOL 15.3.

    form 0 CBOR | 1 text in the Latin page | 2 page, text in that page | 3 text in UTF-8 | 4 sealed | 5 receipt's id
    form + 8: the same, deflated with dictionary 1

Every way that can carry a body is tried and the shortest one taken, so nothing is ever longer than plain. Text goes in
one byte a character where its alphabet allows: the Latin page is Windows-1252, another page is any 128 characters of
Unicode; what lies outside follows an escape. Nothing here says whether a body is a good one: message.parse does.
"""

from edge.compat import deflate
from edge.core import cbor, dictionary, limits
from edge.core.cbor import CodecError

PLAIN = 0
_LATIN = 1
_PAGED = 2
_UTF8 = 3
_SEALED = 4
_RECEIPT = 5
DEFLATED = 8

_ESCAPE = 0x1A  # three bytes of a code point follow
_NAME = 0x00  # stands between a text and its writer's name
# the upper half of the Latin page below 0xA0; a control character in its own place means none
_WINDOWS = ("\u20ac\x81\u201a\u0192\u201e\u2026\u2020\u2021\u02c6\u2030\u0160\u2039\u0152\x8d\u017d\x8f"
            "\x90\u2018\u2019\u201c\u201d\u2022\u2013\u2014\u02dc\u2122\u0161\u203a\u0153\x9d\u017e\u0178")
_PAGE_CHARACTERS = 128
_PAGES = 256  # up to U+7FFF; letters that lie higher go as UTF-8


def shrink(body):
    """(form, bytes) of the shortest way to carry `body` (bytes of the encoded CBOR map). Never longer than `body`."""
    best = (PLAIN, body)
    for form, data in _plain_forms(body):
        if len(data) < len(best[1]):
            best = (form, data)
        if form <= _UTF8 and 0 < len(data) <= limits.INFLATED_BYTES_MAX:
            packed = deflate.compress(data, dictionary.V1)
            if packed is not None and len(packed) < len(best[1]):
                best = (form | DEFLATED, packed)
    return best


def grow(form, data):
    """The encoded CBOR map (bytes) that was carried as `form` and `data`. Raises CodecError."""
    if form & DEFLATED:
        form ^= DEFLATED
        if form > _UTF8:
            raise CodecError("onair.form")
        data = deflate.expand(data, dictionary.V1, limits.INFLATED_BYTES_MAX)
        if data is None:
            raise CodecError("onair.deflate")
    if form == PLAIN:
        return data
    if form == _LATIN:
        return _texts(data, None)
    if form == _PAGED:
        if not data:
            raise CodecError("onair.text")
        return _texts(data[1:], data[0])
    if form == _UTF8:
        text, mark, name = data.partition(b"\0")
        return _map(text, name if mark else None)
    if form == _SEALED:
        return b"\xa1\x03" + cbor.head(cbor.BYTES, len(data)) + data
    if form == _RECEIPT and len(data) == 16:
        return b"\xa2\x01\x50" + data + b"\x02\x01"
    raise CodecError("onair.form")


def _plain_forms(body):
    """[(form, bytes)] of every way that carries this body without deflate; plain is the first."""
    forms = [(PLAIN, body)]
    fields = cbor.decode(body)
    text = fields.get(1)
    name = fields.get(2)
    if isinstance(text, str) and (len(fields) == 1 or (len(fields) == 2 and isinstance(name, str))):
        forms.append((_LATIN, _page_bytes(text, name, None)))
        page = _page_of(text)
        if page is not None:
            forms.append((_PAGED, bytes((page,)) + _page_bytes(text, name, page)))
        forms.append((_UTF8, text.encode() + (b"" if name is None else b"\0" + name.encode())))
    elif len(fields) == 1 and isinstance(fields.get(3), bytes):
        forms.append((_SEALED, fields[3]))
    elif len(fields) == 2 and isinstance(text, bytes) and len(text) == 16 and name == 1:
        forms.append((_RECEIPT, text))
    return [forms[0]] + [pair for pair in forms[1:] if grow(pair[0], pair[1]) == body]


def _page_of(text):
    """The page that most letters of `text` beyond ASCII and the Latin page are in, or None."""
    counts = {}
    best = None
    for letter in text:
        page = ord(letter) // _PAGE_CHARACTERS
        if 1 < page < _PAGES:
            counts[page] = counts.get(page, 0) + 1
            if best is None or counts[page] > counts[best]:
                best = page
    return best


def _page_bytes(text, name, page):
    out = bytearray()
    _put(out, text, page)
    if name is not None:
        out.append(_NAME)
        _put(out, name, page)
    return bytes(out)


def _put(out, text, page):
    for letter in text:
        byte = _byte_of(letter, page)
        if byte is None:
            out.append(_ESCAPE)
            out.extend(ord(letter).to_bytes(3, "big"))
        else:
            out.append(byte)


def _byte_of(letter, page):
    """The byte that stands for a letter in a page (None: the Latin one), or None where it must be escaped."""
    code = ord(letter)
    if code < 0x80:
        return None if code in (_NAME, _ESCAPE) else code
    if page is not None:
        at = code - page * _PAGE_CHARACTERS
        return 0x80 + at if 0 <= at < _PAGE_CHARACTERS else None
    if code < 0x100:
        return code if code >= 0xA0 else None
    at = _WINDOWS.find(letter)
    return 0x80 + at if at >= 0 else None


def _texts(data, page):
    """The map of a text, and a name where there is one, from bytes in a page."""
    parts = [[], None]
    out = parts[0]
    at = 0
    while at < len(data):
        code = data[at]
        at += 1
        if code == _ESCAPE:
            code = int.from_bytes(data[at:at + 3], "big")
            at += 3
            if at > len(data) or code > 0x10FFFF or 0xD800 <= code < 0xE000:
                raise CodecError("onair.text")
        elif code == _NAME:
            if parts[1] is not None:
                raise CodecError("onair.text")
            out = parts[1] = []
            continue
        elif code >= 0x80 and page is not None:
            code += page * _PAGE_CHARACTERS - 0x80
        elif 0x80 <= code < 0xA0:
            code = ord(_WINDOWS[code - 0x80])
        out.append(chr(code))
    name = parts[1]
    return _map("".join(parts[0]).encode(), None if name is None else "".join(name).encode())


def _map(text, name):
    """{1: text, 2: name} as CBOR; both are bytes, name may be None."""
    out = b"\x01" + cbor.head(cbor.TEXT, len(text)) + text
    if name is None:
        return b"\xa1" + out
    return b"\xa2" + out + b"\x02" + cbor.head(cbor.TEXT, len(name)) + name
