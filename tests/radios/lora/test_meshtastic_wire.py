"""The Meshtastic codec: golden bytes, equality with protobuf, and nothing but WireError out of bad input."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import struct
import subprocess
import sys
from typing import Any

import pytest

from radios.lora.meshtastic import wire
from radios.lora.meshtastic.stream import MAGIC, Framer, frame
from radios.lora.meshtastic.wire import FROM_RADIO, TO_RADIO, Table, WireError, decode, encode
from tests.waiting import PATIENCE

PEER = os.path.join(os.path.dirname(__file__), "meshtastic_peer.py")
TABLES = [value for value in vars(wire).values() if isinstance(value, Table)]
ONE_OF = {"ToRadio": {f.name for f in TO_RADIO.fields}, "FromRadio": {f.name for f in FROM_RADIO.fields} - {"id"},
          "Config": {f.name for f in wire.CONFIG.fields}, "MeshPacket": {"decoded", "encrypted"},
          "Telemetry": {"device_metrics", "local_stats"}}
GOLDEN = [
    (TO_RADIO, {"heartbeat": {}}, "3a00"),
    (TO_RADIO, {"want_config_id": 69420}, "18ac9e04"),
    (TO_RADIO, {"packet": {"to": 0xFFFFFFFF, "id": 5, "decoded": {"portnum": 256, "payload": b"abc"}}},
     "0a1415ffffffff220808800212036162633505000000"),
    (FROM_RADIO, {"queueStatus": {"free": 15, "maxlen": 16, "mesh_packet_id": 1}}, "5a06100f18102001"),
    (wire.ROUTING, {"error_reason": 0}, "1800"),
    (wire.MESH_PACKET, {"rx_rssi": -90, "rx_snr": 5.5}, "450000b04060a6ffffffffffffffff01"),
]


def random_record(rng: random.Random, table: Table) -> dict[str, Any]:
    """Any record of a table, fields at their limits as well."""
    record: dict[str, Any] = {}
    for field in table.fields:
        if rng.random() < 0.4:
            continue
        if field.table is not None:
            record[field.name] = random_record(rng, field.table)
        elif field.kind in (wire.U32, wire.FIXED32):
            record[field.name] = rng.choice([0, 1, 127, 128, 2**32 - 1, rng.getrandbits(32)])
        elif field.kind == wire.I32:
            record[field.name] = rng.choice([0, 1, -1, -(2**31), 2**31 - 1, rng.getrandbits(31), -rng.getrandbits(31)])
        elif field.kind == wire.BOOL:
            record[field.name] = rng.random() < 0.5
        elif field.kind == wire.FLOAT:
            value = rng.choice([0.0, -0.0, 1.5, rng.uniform(-1000, 1000)])
            record[field.name] = struct.unpack("<f", struct.pack("<f", value))[0]
        elif field.kind == wire.TEXT:
            record[field.name] = rng.choice(["", "Waypost", "Grüße", "\U0001f6df" * rng.randrange(4)])
        else:
            record[field.name] = rng.randbytes(rng.choice([0, 1, 16, 32, 40]))
    variants = sorted(ONE_OF.get(table.name, set()) & set(record))
    for name in variants[:-1] if rng.random() < 0.5 else variants[1:]:
        del record[name]
    return record


def jsonable(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    return {k: jsonable(v) for k, v in value.items()} if isinstance(value, dict) else value


def filled(table: Table, record: dict[str, Any]) -> dict[str, Any]:
    """The record as decoding gives it."""
    out = dict(table.defaults)
    for field in table.fields:
        if field.name in record:
            value = record[field.name]
            out[field.name] = filled(field.table, value) if field.table is not None else value
    return out


@pytest.mark.parametrize(("table", "record", "expected"), GOLDEN)
def test_golden(table: Table, record: dict[str, Any], expected: str) -> None:
    assert encode(table, record).hex() == expected
    assert decode(table, bytes.fromhex(expected)) == filled(table, record)


def test_every_random_record_comes_back() -> None:
    rng = random.Random(1)
    for n in range(3000):
        table = TABLES[n % len(TABLES)]
        record = random_record(rng, table)
        data = encode(table, record)
        if len(data) <= wire.BYTES_MAX:
            assert decode(table, data) == filled(table, record)
            assert encode(table, decode(table, data)) == data


@pytest.mark.skipif(importlib.util.find_spec("meshtastic") is None, reason="needs the meshtastic package")
def test_the_same_bytes_as_protobuf() -> None:
    """2,000 random messages, built by field name with the vendor's protobuf."""
    rng = random.Random(2)
    cases = [(TABLES[n % len(TABLES)], random_record(rng, TABLES[n % len(TABLES)])) for n in range(2000)]
    lines = "".join(json.dumps([table.name, jsonable(record)]) + "\n" for table, record in cases)
    done = subprocess.run([sys.executable, PEER, "encode"], input=lines, capture_output=True, text=True,
                          timeout=120 * PATIENCE)
    assert done.returncode == 0, done.stderr
    theirs = done.stdout.split("\n")[:-1]
    assert len(theirs) == len(cases)
    for (table, record), expected in zip(cases, theirs, strict=True):
        assert encode(table, record).hex() == expected, (table.name, record)


def test_unknown_fields_are_skipped() -> None:
    extra = bytes.fromhex("f83f01" "f93f0102030405060708" "fa3f03616263" "fd3f01020304")
    data = encode(FROM_RADIO, {"config_complete_id": 7})
    assert decode(FROM_RADIO, extra + data + extra)["config_complete_id"] == 7


@pytest.mark.parametrize(("data", "reason"), [
    ("08", "wire.truncated"), ("12", "wire.truncated"), ("1205", "wire.truncated"), ("08ffffffffff", "wire.truncated"),
    ("08ffffffffffffffffffff01", "wire.varint"), ("08ffffffffffffffffff7f", "wire.varint"),
    ("088080808010", "wire.range"), ("00", "wire.field"), ("0b", "wire.type"), ("0d00000000", "wire.type"),
    ("0a00", "wire.type"), ("12010b", "wire.type"), ("120112", "wire.truncated"), ("00" * 513, "wire.too_long"),
])
def test_refused(data: str, reason: str) -> None:
    with pytest.raises(WireError) as caught:
        decode(FROM_RADIO, bytes.fromhex(data))
    assert caught.value.reason == reason


def test_a_float_that_is_no_number_and_text_that_is_no_utf8() -> None:
    """Devices send both: a name cut in the middle of a character, a signal that was not measured."""
    assert decode(wire.MESH_PACKET, b"\x45" + struct.pack("<f", float("nan")))["rx_snr"] == 0.0
    assert decode(wire.USER, b"\x12\x03ab\xc3")["long_name"] == "ab\ufffd"


@pytest.mark.parametrize("record", [
    {"packet": {"id": -1}}, {"packet": {"id": 2**32}}, {"packet": {"channel": 1.5}}, {"packet": {"nothing": 1}},
    {"packet": {"decoded": {"payload": "text"}}}, {"packet": {"rx_rssi": 2**31}}, {"packet": 5},
    {"packet": {"rx_snr": "x"}}, {"want_config_id": None},
])
def test_misuse_raises_value_error(record: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        encode(TO_RADIO, record)


def mutations(rng: random.Random, n: int) -> list[tuple[Table, bytes]]:
    out = []
    while len(out) < n:
        table = rng.choice(TABLES)
        data = bytearray(encode(table, random_record(rng, table))[: wire.BYTES_MAX])
        for _ in range(rng.randrange(1, 5)):
            at = rng.randrange(len(data) + 1)
            action = rng.randrange(5)
            if action == 0 and data:
                data[at % len(data)] = rng.randrange(256)
            elif action == 1:
                del data[at:]
            elif action == 2:
                data[at:at] = rng.randbytes(rng.randrange(1, 8))
            elif action == 3 and data:
                data[at % len(data)] ^= 1 << rng.randrange(8)
            else:
                del data[at : at + 3]
        out.append((table, bytes(data)))
    return out


def test_fuzz() -> None:
    """60,000 mutated inputs: a record, or WireError."""
    good = 0
    for table, data in mutations(random.Random(3), 60000):
        try:
            record = decode(table, data)
        except WireError as error:
            assert error.reason.startswith("wire.")
        else:
            good += 1
            encode(table, record)
    assert 5000 < good < 55000


def stream(rng: random.Random, n: int) -> tuple[list[bytes], bytes]:
    """Frames with console text and garbage between them."""
    payloads, out = [], bytearray()
    for k in range(n):
        payload = encode(FROM_RADIO, {"id": k + 1, **random_record(rng, TO_RADIO if k % 7 == 0 else FROM_RADIO)}) \
            if k % 7 else encode(FROM_RADIO, {"id": k + 1, "queueStatus": {"free": k % 17, "maxlen": 16}})
        if len(payload) > wire.BYTES_MAX:
            payload = encode(FROM_RADIO, {"id": k + 1})
        payloads.append(payload)
        noise = [b"", b"\x1b[34mDEBUG | 12:00:00 \x1b[0mTx done\r\n", b"\xc3" * rng.randrange(33), b"\x94",
                 rng.randbytes(rng.randrange(40)).replace(MAGIC, b"")][k % 5]
        out += noise + frame(payload)
    return payloads, bytes(out)


@pytest.mark.parametrize("chunk", [1, 2, 3, 64, 4096])
def test_frames_between_noise(chunk: int) -> None:
    payloads, data = stream(random.Random(4), 500)
    framer = Framer(FROM_RADIO)
    records = [r for at in range(0, len(data), chunk) for r in framer.feed(data[at : at + chunk], 0)]
    assert records == [decode(FROM_RADIO, payload) for payload in payloads]
    assert framer.noise_bytes == len(data) - sum(len(p) + 4 for p in payloads)


def test_a_torn_frame_costs_itself_only() -> None:
    rng = random.Random(5)
    for _ in range(300):
        packet = {"id": 1, "decoded": {"portnum": 1, "payload": bytes(90)}}
        torn = frame(encode(FROM_RADIO, {"id": 9, "packet": packet}))
        after = [frame(encode(FROM_RADIO, {"config_complete_id": n})) for n in range(40)]
        framer = Framer(FROM_RADIO)
        records = framer.feed(torn[: rng.randrange(1, len(torn))] + b"".join(after), 0)
        # those that its length swallowed may be lost, never those behind
        got = [r["config_complete_id"] for r in records if "config_complete_id" in r]
        assert got == list(range(40 - len(got), 40)) and len(got) > 20


def test_after_a_pause_a_torn_frame_costs_nothing_else() -> None:
    torn = frame(encode(FROM_RADIO, {"packet": {"decoded": {"payload": bytes(90)}}}))
    whole = frame(encode(FROM_RADIO, {"config_complete_id": 1}))
    for cut in range(1, len(torn)):
        framer = Framer(FROM_RADIO)
        assert framer.feed(torn[:cut], 0) == []
        assert len(framer.feed(whole, 1001)) == 1
        framer = Framer(FROM_RADIO)
        assert framer.feed(torn[:cut], 0) == []
        assert len(framer.feed(torn[cut:] + whole, 1000)) == 2


def test_framer_fuzz() -> None:
    """Anything at all: no exception, and the buffer stays small."""
    rng = random.Random(6)
    framer = Framer(FROM_RADIO)
    now_ms = 0
    for _ in range(3000):
        piece = rng.choice([rng.randbytes(50), MAGIC, MAGIC + b"\x00\x10", MAGIC + b"\xff\xff", MAGIC + b"\x02\x00",
                            frame(encode(FROM_RADIO, {"id": 1}))])
        now_ms += rng.choice([0, 0, 10, 2000])
        framer.feed(piece, now_ms)
        assert len(framer._buffer) <= wire.BYTES_MAX + 4
    framer.feed(b"", now_ms + 2000)
    assert framer.feed(frame(encode(FROM_RADIO, {"id": 77})), now_ms + 2000)[-1]["id"] == 77


def test_frame_bounds() -> None:
    for payload in (b"", bytes(513)):
        with pytest.raises(ValueError, match="512"):
            frame(payload)
