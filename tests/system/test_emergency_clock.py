"""A node whose clock was cleared by a power cut, to 2020 or to 2099, in the middle of an official alert."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from edge.core import certs, cosign
from tests.core.papers import YEAR_S, key_of, signed
from tests.system.nodes import NodeProcess, until

pytestmark = [pytest.mark.slow]
COMMUNITY = ("community.name=Delft", f"community.stewards={key_of('ann').hex()},{key_of('ben').hex()}",
             "community.stewards_needed=2", "alerts.position=52.0116,4.3571", "lan.multicast=false", "lan.port=0",
             "web.host=127.0.0.1", "models.enabled=false")
SEEN_S = 60


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[NodeProcess, NodeProcess]]:
    """The office, which may send alerts, and the hall beside it."""
    with ExitStack() as ends:
        office = NodeProcess(str(tmp_path / "office"), settings=COMMUNITY)
        ends.callback(lambda: office.end(kill=True))
        port = office.start()["links"]["lan"]
        hall = NodeProcess(str(tmp_path / "hall"), settings=(*COMMUNITY, f"lan.peers=127.0.0.1:{port}"))
        ends.callback(lambda: hall.end(kill=True))
        hall.start()
        until(lambda: bool(hall.cli("peers")), SEEN_S, 0.2)
        now_s = int(office.cli("status")["time_ms"]) // 1000
        payload = certs.payload_of("Delft", bytes.fromhex(office.key), [certs.ALERT], now_s, now_s + YEAR_S)
        (tmp_path / "paper").write_bytes(signed(cosign.CERTIFICATE, payload, "ann", "ben"))
        office.cli("cert", "add", str(tmp_path / "paper"))
        yield office, hall


def state(node: NodeProcess) -> str:
    return str(node.cli("why")["condition"]["state"])


@pytest.mark.parametrize("said", ["@2020-01-01 00:00:00", "@2099-06-01 12:00:00"])
def test_a_cleared_clock_neither_raises_nor_hides(pair: tuple[NodeProcess, NodeProcess], said: str,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    office, hall = pair
    library = next((str(path) for path in Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), "")
    assert library, "tools/dev/setup.sh tests installs faketime"
    first = office.cli("alert", "send", "The river rises", "--severity", "severe", "--area", "52.01,4.36 5")
    until(lambda: state(hall) == "emergency", SEEN_S, 0.3)
    hall.end(kill=True)
    monkeypatch.setenv("LD_PRELOAD", library)
    monkeypatch.setenv("FAKETIME", said)
    monkeypatch.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    hall.start()
    for name in ("LD_PRELOAD", "FAKETIME", "FAKETIME_DONT_FAKE_MONOTONIC"):
        monkeypatch.delenv(name)
    assert state(hall) == "emergency" and hall.cli("why")["readings"]["alert"] == "emergency"
    until(lambda: bool(hall.cli("peers")), SEEN_S, 0.2)
    second = office.cli("alert", "send", "Leave the quay", "--severity", "extreme", "--area", "52.01,4.36 5")
    until(lambda: second["id"] in [row["id"] for row in hall.cli("alert", "list")], SEEN_S, 0.3)
    for made in (first, second):
        office.cli("alert", "cancel", made["id"])
    until(lambda: hall.cli("why")["readings"]["alert"] == "none", SEEN_S, 0.3)
