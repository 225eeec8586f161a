"""Messages on the air: rebuilt byte for byte, at most 84 bytes beside the body, texts shrunk (PROTOCOL 15.2, 15.3)."""

from __future__ import annotations

import hashlib
import json
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.compat import crypto, deflate
from edge.core import airtext, cbor, dictionary, limits, message, onair
from edge.core.cbor import CodecError
from edge.core.onair import KeyBook, pack, ref, unpack
from edge.core.rng import Rng
from tests.core.mutate import quick, reason_of, survives
from tests.core.radio_texts import TEXTS

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[2] / "docs" / "vectors.json").read_text())
SEED = bytes(range(32))
AUTHOR = crypto.public_key(SEED)
DEST = crypto.public_key(b"\x42" * 32)
HLC = (1763700000 << 16) | 513
KNOWN = {ref(AUTHOR): [AUTHOR], ref(DEST): [DEST]}
ALPHABETS = {
    "ASCII": (0x20, 0x7F), "Latin-1": (0xA1, 0x100), "Greek": (0x391, 0x3CA), "Cyrillic": (0x410, 0x450),
    "Hebrew": (0x5D0, 0x5EB), "Arabic": (0x621, 0x64B), "Devanagari": (0x904, 0x93A), "Thai": (0xE01, 0xE2F),
}


def known(short: bytes) -> list[bytes]:
    return KNOWN.get(short, [])


def build(body: Any, **changes: Any) -> message.Message:
    values: dict[str, Any] = {"seq": 7, "hlc": HLC, "ttl_s": 604800, "lane": 2, "type": message.NOTICE, "dest": None}
    values.update(changes)
    one: message.Message = message.build(SEED, AUTHOR, body=body, **values)
    return one


def beside_the_body(one: message.Message) -> int:
    return len(pack(one)) - len(airtext.shrink(cbor.encode(one.body()))[1])


# --- the same bytes


texts = st.text(max_size=40) | st.text(st.characters(max_codepoint=0x17F), max_size=40)
bodies = st.one_of(
    texts.map(lambda text: {1: text}), st.tuples(texts, texts).map(lambda pair: {1: pair[0], 2: pair[1]}),
    st.binary(max_size=40).map(lambda data: {3: data}),
    st.binary(min_size=16, max_size=16).map(lambda id: {1: id, 2: 1}),
    st.dictionaries(st.integers(0, 2**64 - 1), st.one_of(st.integers(-9, 9), st.binary(max_size=9), texts), max_size=3))


@quick
@given(bodies, st.integers(1, 2**32 - 1), st.integers(0, 2**48 - 1), st.integers(1, limits.TTL_S_MAX),
       st.integers(0, 3), st.sampled_from([0, 1, 4, 5, 6, 65535]), st.booleans(), st.booleans(), st.booleans())
def test_rebuilt_byte_for_byte(body: Any, seq: int, hlc: int, ttl_s: int, lane: int, type: int, to: bool,
                               whole_author: bool, whole_dest: bool) -> None:
    one = build(body, seq=seq, hlc=hlc, ttl_s=ttl_s, lane=lane, type=type, dest=DEST if to else None)
    data = pack(one, whole_author, whole_dest)
    assert data[0] >= onair.KIND
    assert unpack(data, known) == [one.data]
    form, shrunk = airtext.shrink(cbor.encode(body))
    assert len(shrunk) <= len(cbor.encode(body))
    assert airtext.grow(form, shrunk) == cbor.encode(body)


def test_known_types_take_a_short_head() -> None:
    for type, lane, dest, size in ((1, 2, None, 79), (4, 0, None, 79), (5, 3, None, 79), (2, 1, DEST, 84),
                                   (3, 1, DEST, 84), (9, 3, None, 82)):
        one = build({5: b"\xff\xfe"}, type=type, lane=lane, dest=dest, seq=60000)
        assert beside_the_body(one) == size
    for ttl_s in (900, 3600, 86400, 604800, 2592000, limits.TTL_S_MAX):
        assert beside_the_body(build({}, ttl_s=ttl_s)) == 78


def test_at_most_84_bytes_beside_the_body() -> None:
    """The worst of every field of a broadcast: seq of four bytes, a life that has no code."""
    for type, lane in ((1, 2), (4, 0), (5, 0), (5, 1), (5, 2), (5, 3)):
        for ttl_s in (604801, 2**24 - 1, 1):
            one = build({1: "hello"}, type=type, lane=lane, ttl_s=ttl_s, seq=2**32 - 1)
            assert beside_the_body(one) == 84
    assert beside_the_body(build({}, ttl_s=2**24, seq=2**32 - 1)) == 85  # 194 days and no code


def test_later_keys_travel_as_they_are() -> None:
    payload = cbor.encode({1: 5, 2: HLC, 3: 60, 4: 2, 5: 1, 7: {1: "x"}, 8: "kept", 99: [1]})
    one = message.parse(message._signed(SEED, AUTHOR, payload))
    for whole in (False, True):
        data = pack(one, whole)
        assert data[0] & 15 == 15
        assert unpack(data, known) == [one.data]
        assert len(data) == 2 + (32 if whole else 5) + len(payload) + 64


def test_what_is_no_message_is_not_sent() -> None:
    one = build({1: "x"})
    one.data = one.data[:-66] + b"\x58\x41" + one.data[-64:]
    with pytest.raises(ValueError, match="not a message") as caught:
        pack(one)
    assert not isinstance(caught.value, CodecError)


# --- who is meant


def test_authors_that_are_not_known() -> None:
    one = build({1: "x"}, dest=DEST, type=message.DIRECT, lane=1)
    assert reason_of(lambda data: unpack(data, lambda short: []), pack(one)) == "onair.unknown_author"
    only = {ref(AUTHOR): [AUTHOR]}
    assert reason_of(lambda data: unpack(data, lambda short: only.get(short, [])), pack(one)) == "onair.unknown_dest"
    assert unpack(pack(one, True, True), lambda short: []) == [one.data]


def test_the_signature_tells_between_several() -> None:
    one = build({1: "x"}, dest=DEST, type=message.DIRECT, lane=1)
    others = [crypto.public_key(bytes([n]) * 32) for n in (1, 2)]
    found = unpack(pack(one), lambda short: [*others, *KNOWN[short]])
    assert len(found) == 9
    good = [data for data in found if message.verify(message.parse(data))]
    assert good == [one.data]
    many = [bytes([n]) * 32 for n in range(50)]
    assert len(unpack(pack(one), lambda short: many)) == limits.ONAIR_CANDIDATES_MAX**2


def test_key_book() -> None:
    book = KeyBook(8)
    book.learn(AUTHOR)
    assert book.keys_of(ref(AUTHOR)) == [AUTHOR]
    assert book.keys_of(b"12345") == []
    for n in range(1000):
        book.learn(n.to_bytes(32, "big"))
        if n % 3 == 0:
            book.learn(AUTHOR)  # who is heard stays
    assert book.keys_of(ref(AUTHOR)) == [AUTHOR]
    assert book.keys_of(ref(bytes(32))) == []
    assert len(book._new) + len(book._old) <= 8


def test_keys_with_one_ref(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onair, "ref", lambda key: b"same!")
    book = KeyBook()
    for n in (1, 2, 3, 4, 5, 6, 3):
        book.learn(bytes([n]) * 32)
    assert [key[0] for key in book.keys_of(b"same!")] == [3, 6, 5, 4]


# --- texts


def test_forty_texts() -> None:
    """Signed and whole, every one of them fits 200 bytes; the figures are in PROTOCOL 15.2."""
    lines = []
    whole = size = sent = 0
    for language, some in TEXTS.items():
        ones = [build({1: text}, seq=300) for text in some]
        frames = [pack(one) for one in ones]
        assert [unpack(frame, known) for frame in frames] == [[one.data] for one in ones]
        plain = sum(len(text.encode()) for text in some)
        shrunk = sum(len(frame) - 79 for frame in frames)
        size, sent = size + plain, sent + shrunk
        whole += sum(len(pack(one, True)) <= 200 for one in ones)
        lines.append(f"{language}: {len(some)} texts, ratio {shrunk / plain:.2f}, frames of "
                     f"{min(map(len, frames))} to {max(map(len, frames))} bytes")
        assert max(map(len, frames)) <= 200
        assert shrunk / plain < 0.75
    lines.append(f"ratio {sent / size:.3f}, {whole} of 40 fit 200 with the author's whole key")
    print("\n" + "\n".join(lines))
    assert sum(map(len, TEXTS.values())) == 40
    assert sent / size < 0.68
    assert whole >= 20


@pytest.mark.parametrize("alphabet", list(ALPHABETS))
def test_140_letters_of_an_alphabet_always_fit_231(alphabet: str) -> None:
    """At random, which is the worst text there can be, with the longest head there is."""
    low, high = ALPHABETS[alphabet]
    rng = Rng(low)
    for _ in range(5):
        text = "".join(chr(low + rng.below(high - low)) for _ in range(140))
        one = build({1: text}, seq=2**32 - 1, ttl_s=604801)
        data = pack(one)
        assert unpack(data, known) == [one.data]
        assert len(data) <= 231


def test_nothing_is_larger_than_plain() -> None:
    rng = Rng(3)
    for size in (0, 1, 2, 140, 4096):
        body = cbor.encode({3: rng.bytes(size)})
        assert len(airtext.shrink(body)[1]) <= len(body)
        body = cbor.encode({1: "".join(chr(0x4E00 + rng.below(20000)) for _ in range(size // 3))})
        assert len(airtext.shrink(body)[1]) <= len(body)


def test_without_an_encoder_it_goes_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deflate, "compress", lambda data, words: None)
    for text in ("a" * 140, "\u00e9" * 140, "\u0416" * 140):
        one = build({1: text})
        assert unpack(pack(one), known) == [one.data]
        assert len(pack(one)) <= 78 + 141


def test_letters_and_escapes() -> None:
    for text, forms in (("hello \u2019\u20ac\u00ff", [0, 1, 2, 3]), ("\x00\x1a\x81", [0, 1]), ("plain", [0, 1, 3]),
                        ("\u0410\u0411\u0412\u0413 a", [0, 1, 2, 3]), ("\U0001f600", [0, 1, 3])):
        body = cbor.encode({1: text, 2: text})
        found = airtext._plain_forms(body)
        assert [form for form, _ in found] == forms
        assert [airtext.grow(form, data) for form, data in found] == [body] * len(forms)
    assert airtext.grow(1, b"\x80\x9f\x1a\x01\xf6\x00") == cbor.encode({1: "\u20ac\u0178\U0001f600"})
    assert airtext.grow(2, b"\x08a\x90") == cbor.encode({1: "a\u0410"})


def test_bad_bodies() -> None:
    for form, data, reason in (
        (1, b"a\x1a\0\0", "onair.text"), (1, b"\x1a\x11\0\0", "onair.text"), (1, b"\x1a\0\xd8\0", "onair.text"),
        (1, b"\0\0", "onair.text"), (2, b"", "onair.text"), (5, b"x" * 15, "onair.form"), (6, b"", "onair.form"),
        (7, b"", "onair.form"), (12, b"", "onair.form"), (15, b"", "onair.form"), (9, b"", "onair.deflate"),
    ):
        assert reason_of(lambda data, form=form: airtext.grow(form, data), data) == reason


# --- deflate


def test_the_dictionary_never_changes() -> None:
    assert len(dictionary.V1) == 2816
    digest = "13fa18d44a720f742e3c2fdda925fb427c09cc59f31f956a7d4b53bea1745a16"
    assert hashlib.sha256(dictionary.V1).hexdigest() == digest == VECTORS["dictionary"][0]["sha256"]
    assert len(dictionary.V1) + limits.INFLATED_BYTES_MAX <= deflate.WINDOW_BYTES


def test_deflate_is_capped_and_ends_where_it_should() -> None:
    def expand(data: bytes, size_max: int = 100) -> Any:
        return deflate.expand(data, dictionary.V1, size_max)

    data = deflate.compress(b"Please " * 14, dictionary.V1)
    assert data is not None
    assert len(data) < 14
    assert expand(data) == b"Please " * 14
    assert expand(data, 97) is None
    assert expand(data + b"x") is None
    assert expand(data[:-1]) is None
    assert expand(b"") is None
    assert expand(b"\xff" * 9) is None
    bomb = zlib.compress(bytes(10**7), 9)[2:-4]
    assert expand(bomb, limits.INFLATED_BYTES_MAX) is None


# --- bad input


def test_vectors() -> None:
    for row in VECTORS["onair"]:
        keys = {ref(bytes.fromhex(key)): [bytes.fromhex(key)] for key in row["known"]}
        found = unpack(bytes.fromhex(row["data"]), lambda short, keys=keys: keys.get(short, []))
        assert [data.hex() for data in found] == [row["message"]], row["name"]
        assert message.verify(message.parse(found[0]))
    for row in VECTORS["onair_refused"]:
        keys = {ref(bytes.fromhex(key)): [bytes.fromhex(key)] for key in row["known"]}
        assert reason_of(lambda data, keys=keys: unpack(data, lambda short: keys.get(short, [])),
                         bytes.fromhex(row["data"])) == row["reason"]


def test_fuzz() -> None:
    """Whatever comes out is a list of bytes that message.parse takes or refuses, or a CodecError."""
    def decode(data: bytes) -> None:
        for whole in unpack(data, lambda short: [AUTHOR]):
            message.parse(whole)

    good = [bytes.fromhex(row["data"]) for row in VECTORS["onair"]]
    reasons = survives(decode, good, 60)
    assert {"onair.size", "onair.form", "onair.deflate", "onair.code"} <= set(reasons)
