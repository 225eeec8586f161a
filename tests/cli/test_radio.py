"""`waypost radio`: what it finds, what it shows, and setting up a radio with the vendor's own library."""

from __future__ import annotations

import asyncio
import json
import os
import pathlib
import socket
import threading
from typing import Any

import pytest

from radios.lora.meshtastic import wire
from tests.cli.kit import RealNode, cli, cli_json
from tests.conftest import ROOT
from tests.emulation import meets_by_multicast
from tests.radios.lora.emulated.air import LiveAir
from tests.radios.lora.emulated.meshtastic_device import MeshtasticDevice
from tests.waiting import PATIENCE
from tools import radio_find, radio_range, top
from tools import radio_view as view

# --- what there is


def plugged(root: pathlib.Path, tty: str, vendor: str, product: str, serial: str, maker: str = "Maker") -> None:
    """A USB serial device, as sysfs and udev show it."""
    usb = root / "sys/devices/usb1" / tty
    port = usb / "1-1:1.0" / tty
    port.mkdir(parents=True)
    for name, text in (("idVendor", vendor), ("manufacturer", maker), ("product", product)):
        (usb / name).write_text(text + "\n")
    place = root / "sys/class/tty" / tty
    place.mkdir(parents=True)
    (place / "device").symlink_to(port)
    (root / "dev").mkdir(exist_ok=True)
    (root / "dev" / tty).write_text("")
    if serial:
        by_id = root / "dev/serial/by-id"
        by_id.mkdir(parents=True, exist_ok=True)
        (by_id / f"usb-{maker}_{product.replace(' ', '_')}_{serial}-if00-port0").symlink_to(root / "dev" / tty)


def test_serial_ports(tmp_path: pathlib.Path) -> None:
    root = str(tmp_path)
    assert radio_find.serial(root) == []
    plugged(tmp_path, "ttyUSB0", "10c4", "CP2102 Bridge", "0001")
    plugged(tmp_path, "ttyUSB1", "1234", "Gadget", "")
    plugged(tmp_path, "ttyACM0", "239a", "RAK4631", "F00D")
    (tmp_path / "dev/ttyAMA0").write_text("")
    (tmp_path / "dev/serial0").symlink_to(tmp_path / "dev/ttyAMA0")
    (tmp_path / "dev/ttyS7").write_text("")
    rows = {os.path.basename(row["path"]): row for row in radio_find.serial(root)}
    assert sorted(rows) == ["ttyACM0", "ttyAMA0", "ttyUSB0", "ttyUSB1"]
    assert rows["ttyUSB0"]["device"] == "usb:0001" and rows["ttyUSB0"]["product"] == "Maker CP2102 Bridge"
    assert "serial chip" in rows["ttyUSB0"]["about"] and "RAK4631" in rows["ttyACM0"]["about"]
    assert rows["ttyUSB1"]["device"].endswith("/dev/ttyUSB1") and "unknown" in rows["ttyUSB1"]["about"]
    assert "UART" in rows["ttyAMA0"]["about"]
    shown = "\n".join(view.candidates({"configured": [], "serial": list(rows.values()), "lan": []}))
    assert 'lora.device = "usb:F00D"' in shown and "serial number 0001" in shown


@meets_by_multicast
def test_mesh_over_udp_is_heard() -> None:
    group = ("239.77.77.77", 20000 + os.getpid() % 20000)
    found: list[dict[str, Any]] = []
    listener = threading.Thread(target=lambda: found.extend(radio_find.mesh_over_udp(2, group)))
    listener.start()
    packet = wire.encode(wire.MESH_PACKET, {"from": 0x9EA2F3C4, "to": 0xFFFFFFFF, "id": 1, "encrypted": b"x"})
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
        while listener.is_alive():
            sock.sendto(packet, group)
            sock.sendto(b"noise", group)
            listener.join(0.05)
    (row,) = found
    assert row["address"] == "127.0.0.1" and row["nodes"] == ["!9ea2f3c4"] and row["packets"] >= 1


def test_list_needs_no_node(tmp_path: pathlib.Path) -> None:
    found = cli_json("--dir", tmp_path, "radio", "list", "--listen", "0")
    assert found["configured"] == [] and found["lan"] == []
    (tmp_path / "waypost.toml").write_text('[lora]\nenabled = true\nmodem = "rnode"\ndevice = "/dev/ttyUSB9"\n')
    code, out, _ = cli("--dir", tmp_path, "radio", "list", "--listen", "0")
    assert code == 0 and "rnode at /dev/ttyUSB9, no region set: the node does not run" in out


@pytest.mark.parametrize("words", [["test"], ["watch"], ["airtime"]])
def test_the_others_need_one(tmp_path: pathlib.Path, words: list[str]) -> None:
    code, _, err = cli("--dir", tmp_path, "radio", *words)
    assert code == 3 and "no node answers" in err


def test_a_node_without_a_radio(tmp_path: pathlib.Path) -> None:
    with RealNode(tmp_path / "n"):
        for verb in ("test", "watch", "airtime"):
            code, _, err = cli("--dir", tmp_path / "n", "radio", verb)
            assert code == 1 and "the running node has no radio link" in err and "waypost radio list" in err


# --- how it looks

FACTS = {"modem": "rnode", "device": "/dev/x", "state": "up", "queue.0": 0, "queue.1": 2, "queue.2": 1, "queue.3": 0,
         "airtime": "EU868/869400-869650", "airtime.used_ms": 12345, "airtime.limit_ms": 360000,
         "airtime.own_used_ms": 11000, "airtime.own_limit_ms": 180000, "utilisation_percent": 7,
         **{f"airtime.{name}_used_ms": 10 for name in ("alert", "direct", "community", "bulk", "texts")},
         **{f"airtime.{name}_limit_ms": 99900 for name in ("direct", "community", "bulk", "texts")}}


def test_a_link_with_its_airtime_and_line() -> None:
    line = view.link_line(FACTS)
    assert line == ("rnode at /dev/x: up; 12.3 of 360.0 s on the air this hour; channel 7 % busy; waiting: 2 direct, "
                    "1 community")
    waiting = [{"number": 3, "lane": 1, "bytes": 120, "what": "frame", "kind": 0x80, "state": "waiting",
                "detail": "for airtime until 14:20"},
               {"number": 4, "lane": 2, "bytes": 20, "what": "text to !9ea2f3c4", "kind": 0, "state": "acked",
                "detail": "\x1b[31m"}]
    shown = view.radio({"link": "lora", "facts": FACTS, "waiting": waiting, "nodes": [
        {"node": "ab" * 8, "heard_s": 75, "rssi_dbm": -101, "battery": 254, "condition": 2, "verified": True},
        {"node": "cd" * 8, "heard_s": 5, "rssi_dbm": None, "battery": 80, "condition": 2, "verified": False}]})
    assert "abababababababab  1 min  -101  mains    emergency" in shown
    assert "cdcdcdcdcdcdcdcd  5 s          80 %     not verified" in shown
    assert "message            waiting for airtime until 14:20" in shown
    assert "text to !9ea2f3c4  acknowledged \u00b7[31m" in shown
    assert "all but alerts 11.0 of 180.0 s" in shown and "alert      0.0     360.0" in shown
    unlawful = {"modem": "rnode", "device": "", "state": "up", "airtime": "no region is set"}
    assert "it does not transmit: no region is set" in view.radio(
        {"link": "lora", "facts": unlawful, "waiting": [], "nodes": []})


def test_top_shows_airtime_channel_and_line() -> None:
    status = {"node": "ab" * 32, "time_ms": 0, "links": {"lora": FACTS}, "counters": {}}
    waiting = [{"number": 3, "lane": 1, "bytes": 120, "what": "text to !9ea2f3c4", "kind": 0, "state": "waiting",
                "detail": "for a quieter channel until 14:20"},
               {"number": 2, "lane": 1, "bytes": 9, "what": "frame", "kind": 0x48, "state": "sent", "detail": "43 ms"}]
    now = {"at_ms": 0, "status": status, "peers": [], "trace": [],
           "radios": [{"link": "lora", "facts": FACTS, "waiting": waiting, "nodes": []}]}
    shown = top.view(None, now)
    assert "12.3 of 360.0 s on the air this hour; channel 7 % busy; waiting: 2 direct, 1 community" in shown
    assert "waiting for lora:" in shown and "waiting for a quieter channel until 14:20" in shown
    assert "beacon" not in shown  # it went


@pytest.mark.parametrize(("event", "said"), [
    ({"event": "heard", "kind": 0x48, "bytes": 42, "rssi_dbm": -101, "snr_qdb": -18, "hops": 2},
     "heard   beacon, 42 bytes, -101 dBm, SNR -4.5 dB, 2 hops"),
    ({"event": "heard", "kind": 0x33, "bytes": 1, "rssi_dbm": None, "snr_qdb": None, "hops": None},
     "heard   frame of kind 33, 1 bytes"),
    ({"event": "text", "from": "9ea2f3c4", "to_us": True, "channel": "", "text": "hi\x07", "hops": 0},
     "text    from !9ea2f3c4 to us, direct: hi\u00b7"),
    ({"event": "on_air", "token": 4, "state": "refused", "detail": "no region is set"},
     "ours    number 4: refused no region is set"),
])
def test_events(event: dict[str, Any], said: str) -> None:
    assert view.event({"link": "lora", **event})[9:] == f"lora   {said}"


def test_a_test_is_summed_up() -> None:
    tally = radio_range.Tally(radio_range.names([{"node": "ab" * 32, "name": "Hall"}], [{"author": "cd" * 32}]))
    assert tally.lines() == ["no probe went out: the radio is not there"]
    node = next(iter(radio_range.names([{"node": "ab" * 32, "name": "Hall"}], [])))
    for n, rssi in ((0, -100), (1, -110), (1, -110)):
        heard = {"rssi_dbm": rssi, "snr_qdb": None, "hops": None}
        tally.take(n, {"event": "echo", "node": node, "n": n, "there": heard, "here": heard})
    for n in range(3):
        tally.take(n, {"event": "on_air", "state": "sent", "detail": "43 ms"})
    assert tally.lines() == [
        "3 of 3 probes went out",
        "Hall (abababababababab): 2 of 3 echoed; there -110 to -100 dBm, here -110 to -100 dBm"]


# --- setting one up


def served(folder: pathlib.Path, tcp: bool) -> tuple[MeshtasticDevice, Any]:
    """An emulated device on a loop of its own thread; call the second to end it."""
    ready = threading.Event()
    made: list[MeshtasticDevice] = []
    loop = asyncio.new_event_loop()
    over = asyncio.Event()

    async def main() -> None:
        air = LiveAir(1, speed=10)
        device = MeshtasticDevice(air, 0x9EA2F301, path=str(folder / "ttyUSB0"), region=0)
        await device.start(tcp)
        made.append(device)
        ready.set()
        await over.wait()
        await device.stop()
        air.close()

    def work() -> None:
        loop.run_until_complete(main())
        loop.close()

    thread = threading.Thread(target=work)
    thread.start()

    def end() -> None:
        loop.call_soon_threadsafe(over.set)
        thread.join()

    assert ready.wait(10 * PATIENCE)
    return made[0], end


@pytest.mark.slow
@pytest.mark.parametrize("tcp", [False, True], ids=["serial", "tcp"])
def test_setup_by_the_vendors_library(tmp_path: pathlib.Path, tcp: bool) -> None:
    pytest.importorskip("meshtastic", reason="the library is an extra")
    device, end = served(tmp_path, tcp)
    where = f"tcp:127.0.0.1:{device.port}" if tcp else str(tmp_path / "ttyUSB0")
    try:
        code, out, err = cli("--dir", tmp_path, "radio", "setup", "--device", where)
        assert code == 0, err
        assert "region    not set" in out and "preset    LongFast" in out and f'device = "{where}"' in out
        code, out, err = cli("--dir", tmp_path, "radio", "setup", "--device", where, "--region", "EU_868", "--preset",
                             "MediumFast", "--channel", "Waypost", "--psk", "random", "--name", "Town hall",
                             "--short", "TH", "--udp", "on")
        assert code == 0, err
        assert "region    EU_868" in out and "channels  MediumFast, Waypost" in out and "udp       on" in out
        assert device.lora["region"] == 3 and device.lora["modem_preset"] == 4 and device.counters["reboots"] == 1
        assert device.user["long_name"] == "Town hall" and device.user["short_name"] == "TH"
        assert [name for name, _ in device.channels] == ["", "Waypost"] and len(device.channels[1][1]) == 32
        psk = out.partition("--psk ")[2].split()[0]
        answer = cli_json("--dir", tmp_path, "radio", "setup", "--device", where, "--region", "EU_868", "--channel",
                          "Waypost", "--psk", psk)
        assert answer["set"] == [] and device.counters["reboots"] == 1  # it is so already
    finally:
        end()


@pytest.mark.parametrize(("words", "said"), [
    (["--psk", "AQ=="], "needs the channel"), (["--channel", "a channel too long"], "1..11 bytes"),
    (["--channel", "a", "--psk", "AQI="], "1, 16 or 32 bytes"), (["--channel", "a", "--psk", "?"], "no channel key"),
    (["--name", " "], "1..39 bytes"), (["--short", "12345"], "1..4 bytes"),
    (["--region", "EU"], "did you mean"), (["--device", "radio:99999"], "is no address"),
    (["--device", "/dev/nothing"], "is not there"),
])
def test_what_setup_refuses(tmp_path: pathlib.Path, words: list[str], said: str) -> None:
    if "--device" in words:
        pytest.importorskip("meshtastic", reason="the library is an extra")
    code, _, err = cli("--dir", tmp_path, "radio", "setup", *words)
    assert code in (1, 2) and said in err


def test_setup_says_what_is_missing(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tools import radio_setup

    monkeypatch.setattr(radio_setup, "find_spec", lambda name: None)
    code, out, _ = cli("--json", "--dir", tmp_path, "radio", "setup", "--device", "/dev/null")
    error = json.loads(out)["error"]
    assert code == 1 and "pip install 'waypost[meshtastic]'" in error["hint"]


def test_only_setup_imports_the_library() -> None:
    for folder, _, files in os.walk(os.path.join(ROOT, "tools")):
        for name in files:
            if name.endswith(".py") and name != "radio_device.py":
                with open(os.path.join(folder, name), encoding="utf-8") as file:
                    assert "from meshtastic" not in file.read(), name
