"""What the node did last, and its log: short lines, redacted, never a body and never a secret.

The ring keeps the recent effects of the core as small facts (which message, which neighbour, how many bytes), so that a
fault can be understood afterwards without having logged everything. It holds no message, so its memory is bounded by
its length. The log says one line at a time on standard error; what looks like a key, token or password is cut out.
"""

from __future__ import annotations

import collections
import os
import re
import sys
import time

from edge.core import effects

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

RING_MAX = 256
LEVELS = ("error", "warning", "info", "debug")
_LINE_CHARS_MAX = 500
_SYSLOG = {"error": 3, "warning": 4, "info": 6, "debug": 7}
_SECRET_ENDS = ("password", "token", "secret", "key")
_SECRET_WORDS = frozenset((
    "passwd", "passphrase", "passcode", "pass", "pwd", "psk", "secrets", "tokens", "seed", "cookie", "invite",
    "invitation", "authorization", "credential", "credentials", "pin", "otp",
))
_NAME = re.compile(r"(?<![\w.-])([A-Za-z][\w.-]*)[\"']?\s*(?:=>|[=:])\s*")
# a value: quoted, or up to the next name=, a closing quote or bracket, or the end of the line
_VALUE = re.compile(
    r"""(?x) "(?:[^"\\]|\\.)*"? | '(?:[^'\\]|\\.)*'? | (?: (?!\s{1,8}[\w.-]+=[^\s=]) [^"'}\]&\n] )+"""
)
_SAID = re.compile(
    r"(?i)\b((?:password|passwd|passphrase|psk|invite code|bearer|basic)\s+(?:is\s+)?)(?![=:(])(\"[^\"]*\"|\S+)"
)
_LOOKS = re.compile(
    r"""(?sx)-----BEGIN\ [A-Z\ ]*PRIVATE\ KEY-----.*?(?:-----END[^-]*-----|$)
    | \b(?:nsec1|gh[opsu]_|github_pat_|sk-|xox[abp]-|AKIA|eyJ)[\w.-]{12,}
    | (?<=://)[^/\s:@]*:[^/\s@]+(?=@)
    | [0-9A-Z$%*+./:-]{40,}(?![a-z])"""
)
_LONG_DIGITS = re.compile(r"(?<![0-9a-zA-Z])([0-9a-fA-F]{8})[0-9a-fA-F]{32,}(?![0-9a-zA-Z])")
_LONG_TEXT = re.compile(r"(?<![\w+/-])[A-Za-z0-9+_-][A-Za-z0-9+/_-]{39,}={0,2}")  # base64; what begins with / is a path
_CUT = "(secret)"
_KEY_CHARS_MIN = 8  # "key: it is wrong" is a sentence


class Trace:
    """The ring of recent effects. `effects` is on the hot path: it copies a few references and forgets the rest."""

    def __init__(self, clock_ms: Callable[[], int] | None = None) -> None:
        self.count = 0  # effects since the start; the newest entry has this number
        self._clock_ms = clock_ms or _wall_ms
        self._ring: collections.deque[tuple[int, int, str, Any]] = collections.deque((), RING_MAX)

    def effects(self, pending: list[tuple[Any, ...]]) -> None:
        """Note effects of the core, as edge/core/effects.py names them, in their order."""
        now_ms = self._clock_ms()
        number = self.count
        note = self._ring.append
        for effect in pending:
            name = effect[0]
            number += 1
            if name == effects.STORE or name == effects.DELIVER:  # nearly all of them, under load
                message = effect[1]
                note((number, now_ms, name, (message.id, message.lane, message.type)))
            else:
                facts = _FACTS.get(name)
                note((number, now_ms, name, facts(effect) if facts is not None else ()))
        self.count = number

    def log(self, level: str, text: str) -> None:
        """Note a line of the log."""
        self.count += 1
        self._ring.append((self.count, self._clock_ms(), "log", (level, text)))

    def call(self, name: str, via: str, code: str, took_ms: int) -> None:
        """Note a capability call that is over: its name, the way it came, "ok" or an error's code."""
        self.count += 1
        self._ring.append((self.count, self._clock_ms(), "call", (name, via, code, took_ms)))

    def rows(self, after: int = 0, limit: int = RING_MAX) -> list[dict[str, Any]]:
        """The newest `limit` entries numbered above `after`, oldest first: {"n", "time_ms", "what", and its facts}."""
        chosen = [entry for entry in self._ring if entry[0] > after][-limit:] if limit > 0 else []
        out = []
        for number, time_ms, name, facts in chosen:
            row: dict[str, Any] = {"n": number, "time_ms": time_ms, "what": name}
            for key, value in zip(_NAMES.get(name, ()), facts, strict=False):
                row[key] = value.hex() if isinstance(value, bytes) else value
            out.append(row)
        return out


class Log:
    """The log: log(level, text) prints one line when `level` (one of LEVELS) is at least as grave as the setting."""

    def __init__(self, level: str, trace: Trace | None = None, secrets: tuple[str, ...] = ()) -> None:
        self._depth = LEVELS.index(level)
        self._trace = trace
        self._secrets = tuple(one for one in secrets if one)
        self._journal = "JOURNAL_STREAM" in os.environ

    def __call__(self, level: str, text: str) -> None:
        text = redact(text, self._secrets)
        if self._trace is not None and level != "debug":
            self._trace.log(level, text)
        if LEVELS.index(level) > self._depth:
            return
        head = f"<{_SYSLOG[level]}>" if self._journal else f"waypost: {level}: " if level != "info" else "waypost: "
        try:
            sys.stderr.write(head + text + "\n")
            sys.stderr.flush()
        except (OSError, ValueError):
            pass  # nobody reads it any more; the ring still has it


def redact(text: str, secrets: tuple[str, ...] = ()) -> str:
    """One line of at most 500 characters without control characters, known secrets, passwords or whole keys.

    It cuts out too much rather than too little: what follows the name of a secret, and whatever looks like a key. The
    first eight digits of long hex stay, so that a node can still be told from another.
    """
    for secret in secrets:
        text = text.replace(secret, _CUT)
    text = _LOOKS.sub(_CUT, text[:_LINE_CHARS_MAX * 8])
    text = _cut_named(text)
    text = _SAID.sub(r"\1" + _CUT, text)
    text = _LONG_DIGITS.sub(r"\1...", text)
    text = _LONG_TEXT.sub(_cut_mixed, text)
    text = "".join(one if one.isprintable() else " " for one in text)
    return text if len(text) <= _LINE_CHARS_MAX else text[:_LINE_CHARS_MAX - 3] + "..."


def _cut_named(text: str) -> str:
    out = []
    at = 0
    while name := _NAME.search(text, at):
        out.append(text[at:name.end()])
        at = name.end()
        value = _VALUE.match(text, at) if _is_secret(name[1]) else None
        if value and (name[1] != "key" or len(value[0].split(None, 1)[0]) >= _KEY_CHARS_MIN):
            out.append(_CUT)
            at = value.end()
    return "".join(out) + text[at:]


def _is_secret(name: str) -> bool:
    words = name.lower().replace(".", " ").replace("-", " ").replace("_", " ").split()
    return any(word in _SECRET_WORDS or word.endswith(_SECRET_ENDS) for word in words)


def _cut_mixed(found: re.Match[str]) -> str:
    """Base64 mixes capitals, small letters and digits; a long word or path does not."""
    text = found[0]
    mixed = any(one.isupper() for one in text) and any(one.islower() for one in text)
    return _CUT if mixed and any(one.isdigit() for one in text) else text


def _wall_ms() -> int:
    return time.time_ns() // 1000000


_FACTS: dict[str, Callable[[tuple[Any, ...]], tuple[Any, ...]]] = {
    effects.POSTED: lambda e: (e[2],),
    effects.REFUSED: lambda e: (e[2],),
    effects.RECEIPT: lambda e: (e[1], e[2]),
    effects.SEND: lambda e: (e[1], e[2], e[3], e[4][0], len(e[4])),
    effects.PUSH: lambda e: (e[1], e[2], e[3], len(e[4])),
    effects.BUS: lambda e: (e[1], e[2], len(e[3])),
    effects.PEER: lambda e: (e[1], e[2], e[3]),
    effects.DROP: lambda e: (e[2], e[3], e[1]),
    effects.CONFLICT: lambda e: (e[1].id, e[2]),
    effects.PAUSE: lambda e: (e[1], e[2], e[3]),
    effects.CANCEL: lambda e: (e[1], e[2]),
    effects.KEEP: lambda e: (e[1], e[2]),
    effects.EXPIRE: lambda e: (e[1],),
}
_NAMES = {
    effects.STORE: ("id", "lane", "type"),
    effects.DELIVER: ("id", "lane", "type"),
    effects.POSTED: ("id",),
    effects.REFUSED: ("reason",),
    effects.RECEIPT: ("id", "by"),
    effects.SEND: ("link", "peer", "lane", "kind", "bytes"),
    effects.PUSH: ("link", "peer", "lane", "messages"),
    effects.BUS: ("link", "peer", "bytes"),
    effects.PEER: ("link", "peer", "up"),
    effects.DROP: ("link", "peer", "reason"),
    effects.CONFLICT: ("id", "other"),
    effects.PAUSE: ("link", "peer", "for_ms"),
    effects.CANCEL: ("link", "message"),
    effects.KEEP: ("key", "value"),
    effects.EXPIRE: ("now_s",),
    "log": ("level", "text"),
    "call": ("name", "via", "code", "took_ms"),
}
