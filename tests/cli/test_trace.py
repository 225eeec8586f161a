"""The ring of recent effects and the log: bounded, numbered, without bodies."""

from __future__ import annotations

import sys

import pytest

from edge.core import effects, message
from edge.trace import RING_MAX, Log, Trace

SEED = bytes(range(32))


def made(text: str) -> message.Message:
    from edge.compat import crypto

    return message.build(SEED, crypto.public_key(SEED), 1, 1 << 40, 60, 2, message.NOTICE, None, {1: text})


def samples() -> list[tuple[object, ...]]:
    one, peer = made("nobody may read this in the trace"), bytes(32)
    return [
        (effects.STORE, one), (effects.DELIVER, one), (effects.POSTED, 3, one.id), (effects.REFUSED, 3, "store_full"),
        (effects.RECEIPT, one.id, peer), (effects.SEND, "lan", peer, 1, b"\x02abc"),
        (effects.PUSH, "lan", peer, 2, [one.key]), (effects.BUS, "lan", peer, b"secret"),
        (effects.PEER, "lan", peer, True, {"name": "x"}), (effects.DROP, "cbor.trailing", "lan", peer),
        (effects.CONFLICT, one, bytes(16)), (effects.EXPIRE, 12), (effects.PAUSE, "lan", peer, 100),
        (effects.CANCEL, "lora", one.key), (effects.KEEP, "hlc", 77),
    ]


def test_every_effect_is_told_without_what_it_carries() -> None:
    trace = Trace(lambda: 1234)
    for one in samples():
        trace.effects([one])
    rows = trace.rows()
    assert [row["what"] for row in rows] == [one[0] for one in samples()]
    assert all(set(row) > {"n", "time_ms", "what"} for row in rows), "an effect without facts"
    shown = repr(rows)
    assert "nobody may read" not in shown and "secret" not in shown
    assert rows[5] == {"n": 6, "time_ms": 1234, "what": "send", "link": "lan", "peer": "00" * 32, "lane": 1, "kind": 2,
                       "bytes": 4}
    commands = {effects.LOAD, effects.BOOT}  # from here on the file lists what the shell says
    names = [value for value in vars(effects).values() if isinstance(value, str) and value.isidentifier()]
    told = names[: min(map(names.index, commands))]
    assert set(told) <= {row["what"] for row in rows}, "an effect that the samples leave out"


def test_the_ring_is_bounded_and_numbered() -> None:
    trace = Trace(lambda: 0)
    for at in range(RING_MAX + 10):
        trace.effects([(effects.EXPIRE, at)])
    rows = trace.rows()
    assert len(rows) == RING_MAX and rows[-1]["n"] == trace.count == RING_MAX + 10 and rows[0]["now_s"] == 10
    assert [row["n"] for row in trace.rows(after=RING_MAX + 8)] == [RING_MAX + 9, RING_MAX + 10]
    assert [row["n"] for row in trace.rows(limit=2)] == [RING_MAX + 9, RING_MAX + 10]
    assert trace.rows(limit=0) == []


def test_the_ring_holds_no_message() -> None:
    trace = Trace()
    one = made("x")
    before = sys.getrefcount(one)
    for name in (effects.STORE, effects.DELIVER):
        trace.effects([(name, one)])
    trace.effects([(effects.CONFLICT, one, bytes(16))])
    assert sys.getrefcount(one) == before


def test_an_unknown_effect_is_told_by_its_name() -> None:
    trace = Trace(lambda: 5)
    trace.effects([("brand_new", 1, 2)])
    assert trace.rows() == [{"n": 1, "time_ms": 5, "what": "brand_new"}]


@pytest.mark.parametrize(("level", "shown"), [("error", 1), ("warning", 2), ("info", 3), ("debug", 4)])
def test_levels(level: str, shown: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    trace = Trace()
    log = Log(level, trace)
    for one in ("error", "warning", "info", "debug"):
        log(one, f"said as {one}\nand more")
    err = capsys.readouterr().err
    assert err.count("\n") == shown and "waypost: error: said as error and more\n" in err
    assert [row["level"] for row in trace.rows()] == ["error", "warning", "info"]


def test_journal_gets_priorities(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "8:1")
    Log("info")("warning", "careful")
    assert capsys.readouterr().err == "<4>careful\n"


def test_known_secrets_are_cut_out(capsys: pytest.CaptureFixture[str]) -> None:
    trace = Trace()
    Log("info", trace, ("hunter2",))("info", "it was hunter2 all along")
    assert "hunter2" not in capsys.readouterr().err + repr(trace.rows())
