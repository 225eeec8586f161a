"""The log never shows a secret: a corpus of lines, each with the part that must not be seen."""

from __future__ import annotations

import base64
import hashlib
import io
import sys

import pytest

from edge.trace import RING_MAX, Log, Trace, redact

SEED = hashlib.sha256(b"seed").digest()
HEX = SEED.hex()
BASE64 = base64.b64encode(SEED).decode()
BASE64URL = base64.urlsafe_b64encode(SEED).decode().rstrip("=")
BASE85 = base64.b85encode(SEED).decode()
PEM = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ\nabcd\n-----END PRIVATE KEY-----"
BASE45 = "6BF*TLJTK.C0:4Y/F%VD7ZC:24$EDL6A1ECCPEDZC9T89S7P8K2"

CORPUS = [
    ("password = x1y2", "x1y2"),
    ("password=hunter2", "hunter2"),
    ("Password: hunter2", "hunter2"),
    ('{"password": "hunter2", "user": "ana"}', "hunter2"),
    ("{'passwd': 'hunter2'}", "hunter2"),
    ('password = "two words, and a \\" quote"', "two words, and a"),
    ("password = correct horse battery staple", "battery staple"),
    ("password: correct horse: battery", "battery"),
    ("DB_PASSWORD=hunter2 user=ana", "hunter2"),
    ("wifi.psk = neighbours-only", "neighbours-only"),
    ("psk: 8f14e45fceea167a5a36dedd4bea2543", "8f14e45fceea167a5a36dedd4bea2543"),
    ("the password is hunter2", "hunter2"),
    ("passphrase hunter2 was refused", "hunter2"),
    ("token=abc.def-ghi", "abc.def-ghi"),
    ("GET /x?access_token=abc123&y=1", "abc123"),
    ("X-Api-Key: abc123", "abc123"),
    ("api_key => abc123", "abc123"),
    ("client_secret=abc123", "abc123"),
    ("Authorization: Bearer abc123", "abc123"),
    ("authorization: Basic YW5hOmh1bnRlcjI=", "YW5hOmh1bnRlcjI="),
    ("sent Bearer abc123 there", "abc123"),
    ("Cookie: session=abc123; path=/", "abc123"),
    ("jwt eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhbmEifQ.c2ln", "eyJzdWIiOiJhbmEifQ"),
    ("connecting to mqtt://ana:hunter2@hub.example/x", "hunter2"),
    (f"community.key = {HEX}", HEX),
    (f"community_key: {BASE64}", BASE64),
    (f"seed {HEX}", HEX),
    (f"read {HEX.upper()} from the file", HEX.upper()),
    (f"base64 {BASE64} end", BASE64),
    (f"base64url {BASE64URL}", BASE64URL),
    (f"secret_key={BASE85}", BASE85),
    (f"key\n{PEM}\nend", "MC4CAQAwBQYDK2VwBCIEIJ"),
    ("invite: WP1-7Q4K-ZX9P", "WP1-7Q4K-ZX9P"),
    (f"scanned {BASE45}", BASE45),
    ("nsec1vl029mgpspedva04g90vltkh6fvh240zqtv9k0t9af8935ke9laqsnlfe5", "nsec1vl029"),
    ("remote ghp_16C7e42F292c6912E7710c838347Ae178B4a", "ghp_16C7e42F"),
    ("private_key='abc123'", "abc123"),
    ("pin=493817", "493817"),
    ("key=abcdefgh12", "abcdefgh12"),
    ("mqtt.credentials: ana/hunter2", "hunter2"),
]

HARMLESS = [
    "lan: port 7373 is taken, 41234 is used instead",
    "node 3fa9b2c1d4e5f607 signed two messages with number 7: its key is faulty",
    "message 0123456789abcdef0123456789abcdef was not kept: store_full",
    "/var/lib/waypost/a/rather/Long/Path2/to/the/database/file/waypost.db can't be opened",
    "the page needs the package microdot: pip install microdot",
    "listening on http://localhost:8080 and [ff02::5750]:7374",
    "nodes have a key: 64 hex digits",
    "bypass=1 passed: 7 keyboard: none",
]


@pytest.mark.parametrize(("line", "secret"), CORPUS)
def test_no_secret_is_shown(line: str, secret: str) -> None:
    assert secret in line
    shown = redact(line)
    assert secret not in shown
    assert not any(secret[i:i + 12] in shown for i in range(len(secret) - 11)), "not a long part of it either"


@pytest.mark.parametrize("line", HARMLESS)
def test_what_a_person_needs_stays(line: str) -> None:
    assert redact(line) == line


def test_corpus_is_large_enough() -> None:
    assert len(CORPUS) >= 30


def test_the_log_and_its_ring(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stderr", out)
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    trace = Trace()
    log = Log("debug", trace, ("the community's own",))
    for line, _ in CORPUS:
        log("warning", line)
    log("error", "it is the community's own\nwaypost: error: forged line\x1b[2J")
    assert out.getvalue().count("\n") == len(CORPUS) + 1, "one line each"
    for shown in (out.getvalue(), str(trace.rows())):
        for _, secret in CORPUS:
            assert secret not in shown
        assert "community's own" not in shown and "\x1b" not in shown


def test_a_long_line_costs_little() -> None:
    for line in ("a" * 10**6, "password=" * 10**5, "key " * 10**5, "A1" * 10**5, "a.b_" * 10**5 + "=x",
                 "://" + "a:" * 10**5, "a_" * 10**5, "key=" + "x y" * 10**5):
        assert len(redact(line)) <= 500


def test_the_ring_is_bounded() -> None:
    trace = Trace(lambda: 5)
    for i in range(RING_MAX * 2):
        trace.call("echo@1.0", "lan", "ok", i)
    rows = trace.rows()
    assert len(rows) == RING_MAX and rows[-1] == {
        "n": RING_MAX * 2, "time_ms": 5, "what": "call", "name": "echo@1.0", "via": "lan", "code": "ok",
        "took_ms": RING_MAX * 2 - 1}
