"""Probes and echoes: what they carry, how bad ones are refused, vectors. PROTOCOL 15.8."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edge.core import probe
from edge.core.beacon import Keys
from edge.core.cbor import CodecError

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[2] / "docs" / "vectors.json").read_text())
COMMUNITY = b"community key of the probe tests"
NODE = b"a node's"


@pytest.mark.parametrize("key", [None, COMMUNITY])
@pytest.mark.parametrize(("hops", "rssi_dbm", "snr_qdb", "told"), [
    (None, None, None, (None, None, None)), (0, -1, 0, (0, -1, 0)), (7, -255, -127, (7, -255, -127)),
    (300, -400, -200, (254, -255, -127)), (1, 5, 300, (1, -1, 127)),
])
def test_round_trip(key: bytes | None, hops: Any, rssi_dbm: Any, snr_qdb: Any, told: tuple[Any, ...]) -> None:
    keys = Keys(key)
    asked = probe.pack_probe(b"once", 255, NODE, keys)
    assert probe.unpack_probe(asked, keys) == (b"once", 255, NODE) and len(asked) == (14 if key is None else 18)
    echo = probe.pack_echo(b"once", 255, NODE, hops, rssi_dbm, snr_qdb, keys)
    assert probe.unpack_echo(echo, keys) == (b"once", 255, NODE, *told)


def reason(unpack: Any, data: bytes, keys: Any) -> str:
    with pytest.raises(CodecError) as caught:
        unpack(data, keys)
    return str(caught.value.reason)


def test_what_is_refused() -> None:
    keys = Keys(None)
    asked = probe.pack_probe(b"once", 1, NODE, keys)
    echo = probe.pack_echo(b"once", 1, NODE, 0, -1, 0, keys)
    for unpack, good in ((probe.unpack_probe, asked), (probe.unpack_echo, echo)):
        for bad in (b"", good[:-1], good + b"\0", b"\x0d" + good[1:]):
            assert reason(unpack, bad, keys) == "probe.form"
        assert reason(unpack, good, Keys(COMMUNITY)) == "radio.tag"
    assert reason(probe.unpack_probe, echo, keys) == "probe.form"


def test_vectors() -> None:
    for row in VECTORS["probes"]:
        keys = Keys(bytes.fromhex(row["community_key"]) if row["community_key"] else None)
        head = (bytes.fromhex(row["nonce"]), row["n"])
        assert probe.unpack_probe(bytes.fromhex(row["probe"]), keys) == (*head, bytes.fromhex(row["prober"]))
        assert probe.unpack_echo(bytes.fromhex(row["echo"]), keys) == (
            *head, bytes.fromhex(row["echoer"]), row["hops"], row["rssi_dbm"], row["snr_qdb"])
