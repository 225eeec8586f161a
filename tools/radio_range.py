"""The sum of a radio test: who heard how many of our probes, and how well, there and here.

Nothing here talks to a node or a radio. What others sent is made harmless by cli_show.clean.
"""

from __future__ import annotations

import hashlib

from tools.cli_show import clean
from tools.radio_view import signal, state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_NODE_DIGITS = 16


def names(peers: list[dict[str, Any]], messages: list[dict[str, Any]]) -> dict[str, str]:
    """Hex of the 8 bytes by which a radio names a node -> how people may know it."""
    known = {row["author"]: "" for row in messages} | {
        row["node"]: row.get("name", "") for row in peers if len(row["node"]) > _NODE_DIGITS}
    return {hashlib.sha256(bytes.fromhex(key)).hexdigest()[:_NODE_DIGITS]: f"{name} ({key[:16]})" if name else key[:16]
            for key, name in known.items()}


def test_event(n: int, value: dict[str, Any], names: dict[str, str]) -> str:
    """One event of `radio.test`; "" for those that say little."""
    if value["event"] == "echo":
        return (f"  {clean(names.get(value['node'], 'node ' + value['node']))} heard it{signal(value['there'])}; its "
                f"answer came{signal(value['here'])}")
    if value["event"] == "on_air" and value["state"] != "on_air":
        return f"probe {n + 1}: {state(value['state'], value['detail'])}"
    return ""


class Tally:
    """Sums up the probes of a test."""

    def __init__(self, names: dict[str, str]) -> None:
        self.sent = 0
        self.asked = 0
        self._names = names
        self._last = ""
        self._echoes: dict[str, list[dict[str, Any]]] = {}

    def take(self, n: int, value: dict[str, Any]) -> None:
        """One event of probe n."""
        self.asked = max(self.asked, n + 1)
        if value["event"] == "echo":
            self._echoes.setdefault(value["node"], []).append(value)
        elif value["event"] == "on_air":
            self.sent += value["state"] == "sent"
            self._last = state(value["state"], value["detail"])

    def summary(self) -> dict[str, Any]:
        """For programs."""
        return {"probes": self.asked, "sent": self.sent, "nodes": [
            {"node": node, "name": self._names.get(node, ""), "echoes": len({one["n"] for one in echoes}),
             "there": _spread([one["there"] for one in echoes]), "here": _spread([one["here"] for one in echoes])}
            for node, echoes in sorted(self._echoes.items())]}

    def lines(self) -> list[str]:
        """For people."""
        if not self.sent:
            return [f"no probe went out: {self._last or 'the radio is not there'}"]
        out = [f"{self.sent} of {self.asked} probes went out"]
        for one in self.summary()["nodes"]:
            out.append(f"{clean(one['name'] or 'node ' + one['node'])}: {one['echoes']} of {self.sent} echoed; there "
                       f"{_range(one['there'])}, here {_range(one['here'])}")
        if not self._echoes:
            out.append("no node echoed: nobody of this community is in reach, or their radios listen elsewhere")
        return out


def _spread(heard: list[dict[str, Any]]) -> dict[str, int | None]:
    out: dict[str, int | None] = {}
    for name in ("rssi_dbm", "snr_qdb"):
        values = [one[name] for one in heard if one[name] is not None]
        out[name + "_min"], out[name + "_max"] = (min(values), max(values)) if values else (None, None)
    return out


def _range(spread: dict[str, int | None]) -> str:
    low, high = spread["rssi_dbm_min"], spread["rssi_dbm_max"]
    if low is None:
        return "not told how strongly"
    snr = spread["snr_qdb_min"]
    level = f"{low} dBm" if low == high else f"{low} to {high} dBm"
    return level + (f", SNR {snr / 4:g} dB or better" if snr is not None else "")
