"""waypost wifi: what is wanted, what the radios do, and what stands in the way."""

from __future__ import annotations

import pathlib

import pytest

from tests.cli.kit import cli, cli_json
from tools import wifi_cli

CLIENT = "Interface wlan0\n\tifindex 3\n\ttype managed\n\tchannel 6 (2437 MHz), width: 20 MHz\n"
LINK = "Connected to 02:00:00:00:00:00 (on wlan0)\n\tSSID: Our Hall\n\tfreq: 2437\n\tsignal: -52 dBm\n"
AP = "Interface ap0\n\ttype AP\n\tssid Library\n\tchannel 6 (2437 MHz), width: 20 MHz\n"
STATIONS = "Station 02:00:00:00:01:00 (on ap0)\n\tinactive time: 5 ms\nStation 02:00:00:00:02:00 (on ap0)\n"


@pytest.fixture
def radios(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A box that is client and access point; what iw says there."""
    for name in ("wlan0", "ap0"):
        (tmp_path / "net" / name / "phy80211").mkdir(parents=True)
    (tmp_path / "net" / "eth0").mkdir()
    said = {("wlan0", "info"): CLIENT, ("wlan0", "link"): LINK, ("ap0", "info"): AP, ("ap0", "station"): STATIONS}
    real = wifi_cli.interfaces
    monkeypatch.setattr(wifi_cli, "_iw", lambda *words: said[words[1], words[2]])
    monkeypatch.setattr(wifi_cli, "interfaces", lambda: real(str(tmp_path / "net")))


def test_client_and_access_point(tmp_path: pathlib.Path, radios: None) -> None:
    (tmp_path / "waypost.toml").write_text(
        '[net]\nwifi = "both"\ncountry = "DE"\nssid = "Our Hall"\nap_ssid = "Library"\npassword = "do not show"\n')
    code, out, _ = cli("--dir", tmp_path, "wifi")
    assert code == 0 and 'join "Our Hall" and make "Library", in DE' in out and "do not show" not in out
    assert 'ap0      access point, "Library", channel 6, 2 joined' in out
    assert 'wlan0    client, "Our Hall", channel 6, -52 dBm' in out and "->" not in out
    facts = cli_json("--dir", tmp_path, "wifi")
    assert [face["stations"] for face in facts["interfaces"]] == [2, None] and facts["hints"] == []


def test_what_stands_in_the_way(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wifi_cli, "interfaces", lambda: [])
    assert cli_json("--dir", tmp_path, "wifi")["hints"] == []
    (tmp_path / "waypost.toml").write_text('[net]\nwifi = "client"\n')
    hints = cli_json("--dir", tmp_path, "wifi")["hints"]
    assert "net.country is empty" in hints[0] and "no Wi-Fi is there" in hints[1]
    face = {"name": "wlan0", "kind": "client", "ssid": "", "channel": "", "signal_dbm": None, "stations": None}
    monkeypatch.setattr(wifi_cli, "interfaces", lambda: [face])
    (tmp_path / "waypost.toml").write_text('[net]\nwifi = "client"\ncountry = "DE"\nssid = "x"\n')
    assert "it has joined nothing" in cli_json("--dir", tmp_path, "wifi")["hints"][0]
