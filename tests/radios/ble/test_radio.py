"""`waypost radio` and Bluetooth: who is near, what a link does as it does it, and a node that has none."""

from __future__ import annotations

import asyncio
import pathlib
from typing import Any

import pytest

from edge.core.beacon import node_of
from edge.services import provide_radio
from tests.cli.kit import RealNode, cli, cli_json
from tests.radios.ble.air import Radio
from tests.radios.ble.house import House
from tests.radios.ble.kit import end, lower_first, village
from tests.radios.ble.virtual import backend_for
from tests.radios.contract import identity
from tests.radios.lora.emulated.air import LiveAir
from tests.radios.lora.emulated.meshtastic_ble import MeshtasticBle
from tests.radios.lora.emulated.meshtastic_device import MeshtasticDevice
from tests.system import nodes
from tests.waiting import until
from tools import radio_ble
from tools import radio_view as view


def test_adapters(tmp_path: pathlib.Path) -> None:
    assert radio_ble.adapters(str(tmp_path)) == []
    for name in ("hci1", "hci0", "hci0:11", "other"):
        (tmp_path / "sys/class/bluetooth" / name).mkdir(parents=True)
    assert radio_ble.adapters(str(tmp_path)) == ["hci0", "hci1"]


def test_who_is_near_without_a_node() -> None:
    async def whole() -> None:
        async with village() as place:
            node, _ = await place.node(1)
            device = MeshtasticDevice(LiveAir(speed=20), 7)
            side = MeshtasticBle(device, Radio(place.air, 7), "Mesh_7")
            await side.start()
            scanner, _ = backend_for(await place.radio(9))
            await until(lambda: node._stack.adverts)
            rows = await radio_ble.hear(0.3, {"backend": scanner})
            await side.stop()
        assert [(row["address"][-2:], row["what"], row["device"]) for row in rows] == [
            ("01", "a Waypost node", ""), ("07", "a Meshtastic radio Mesh_7", "ble:Mesh_7")]
        shown = "\n".join(radio_ble.candidates({"adapters": ["hci0"], "near": rows}))
        assert 'lora.device = "ble:Mesh_7"' in shown and "a Waypost node, -50 dBm" in shown

    asyncio.run(whole())


def test_what_happens_is_told_as_it_happens(tmp_path: pathlib.Path) -> None:
    async def whole() -> None:
        low, high = lower_first(1, 2)
        async with village() as place:
            one, two = House(tmp_path, place, low), House(tmp_path, place, high)
            try:
                await one.open()
                provide_radio(one.bus, one.node)
                said: list[dict[str, Any]] = []

                async def watch() -> None:
                    async for event in one.bus.stream("radio.watch@1", {}, deadline_ms=30000):
                        said.append(event)

                task = asyncio.ensure_future(watch())
                await two.open()
                await until(lambda: one.node.peers())
                name = node_of(identity(high)[1]).hex()
                await until(lambda: [event["what"] for event in said][-1:] == ["connected"])
                assert [event["what"] for event in said[:2]] == ["heard", "connecting"]
                assert said[0]["node"] == name[:4] and said[-1]["node"] == name and said[0]["rssi_dbm"] == -50
                assert view.event(said[0]).endswith(f"heard: node {name[:4]}, -50 dBm")
                (row,) = await one.bus.call("radio.status@1")
                assert radio_ble.is_ble(row) and row["nodes"][0]["node"] == name
                assert "1 connected, 1 near" in view.radio(row)
                await two.close()
                await until(lambda: said[-1]["what"] in ("parted (stopped)", "parted (closed)"))
                await end(task)
            finally:
                await one.close()

    asyncio.run(whole())


def test_how_a_test_looks() -> None:
    facts = {"modem": "bluetooth", "device": "hci0", "state": "up", "sessions": 1, "near": 1, "duty": "usual", "out": 1,
             "in": 0, "address": "00:11:22:33:44:55", "bluez": "5.82", "advertises": "bluez"}
    found = {"link": "ble", "facts": facts, "near": [{"node": "3475", "heard_s": 3, "rssi_dbm": -61, "battery": 255,
                                                      "verified": True, "condition": 2, "queue": 0}],
             "neighbours": [{"node": "ab" * 32, "name": "Hall\x1b", "address": "C0:00", "answer_ms": 84},
                            {"node": "cd" * 32, "name": "", "address": "C0:01", "fault": "it gave no answer"}]}
    shown = "\n".join(radio_ble.lines(found))
    for part in ("bluetooth at hci0: up; 1 connected, 1 near", "BlueZ 5.82; advertises: by BlueZ", "-61", "emergency",
                 "84 ms", "it gave no answer"):
        assert part in shown
    assert "\x1b" not in shown
    assert "no neighbour over it" in "\n".join(radio_ble.lines(found | {"neighbours": [], "near": []}))


@pytest.mark.slow
def test_a_node_without_bluetooth_says_so_everywhere(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/none")
    with RealNode(tmp_path, "ble.enabled=true"):
        nodes.until(lambda: cli_json("--dir", tmp_path, "status")["links"]["ble"]["state"] != "off", 5)
        assert cli_json("--dir", tmp_path, "status")["links"]["ble"]["state"] in ("no_dbus", "no_package")
        code, out, _ = cli("--dir", tmp_path, "radio", "test", "--link", "ble")
        assert code == 1 and "bluetooth at the first: no_dbus" in out and "no node is heard" in out
        code, out, _ = cli("--dir", tmp_path, "--set", "ble.enabled=true", "radio", "list", "--listen", "0")
        assert code == 0 and "configured  ble: Bluetooth, adapter the first one: no_dbus" in out
        code, out, _ = cli("--dir", tmp_path, "doctor")
        assert code == 1 and "there is no D-Bus system bus: install dbus" in out
