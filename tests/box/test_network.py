"""The network of the place: what each setting becomes, and what is refused."""

from __future__ import annotations

import pathlib
import re
import shutil
import subprocess
from typing import Any

import pytest

from edge.config import filled
from tests.conftest import ROOT
from tools.box import configure, network


def files(**settings: Any) -> tuple[dict[str, str], list[str]]:
    return network.files(filled({f"net.{name}": value for name, value in settings.items()}).values, "Bücherei")


CLIENT, OWN = "run/waypost/wifi-wlan0.conf", "run/waypost/wifi-ap0.conf"
NAME = 'The "hall"'
PORTAL = "run/waypost/portal.conf"


def test_without_settings_there_is_the_cable_only() -> None:
    found, problems = files()
    assert not problems and not [name for name in found if "wifi" in name or "portal" in name]
    assert "DHCP=yes" in found["run/systemd/network/10-cable.network"]


@pytest.mark.parametrize("country", ["", "D", "12", "é1"])
def test_without_a_country_there_is_no_wifi(country: str) -> None:
    found, problems = files(wifi="ap", country=country)
    assert problems and "net.country" in problems[0] and PORTAL not in found


def test_a_client() -> None:
    found, problems = files(wifi="client", country="de", ssid=NAME, password='a "long" password')
    assert not problems and PORTAL not in found
    text = found[CLIENT]
    assert "country=DE\n" in text and "ssid=" + NAME.encode().hex() in text
    assert 'psk="a "long" password"\n' in text and "key_mgmt=WPA-PSK WPA-PSK-SHA256 SAE" in text
    assert "Name=wlan0" in found["run/systemd/network/20-wifi.network"]


def test_a_client_has_an_access_point_lying_by() -> None:
    settings = {"country": "DE", "ssid": "Hall", "password": "12345678", "ap_ssid": "Library"}
    both, _ = files(wifi="both", **settings)
    client, problems = files(wifi="client", **settings)
    by = {path: text for path, text in client.items() if "/standby/" in path}
    assert not problems and sorted(by) == [
        f"run/waypost/standby/{name}" for name in ("15-own.network", "portal.conf", "wifi-ap0.conf")]
    own = {path.rpartition("/")[2]: text for path, text in both.items()}
    assert all(own[path.rpartition("/")[2]] == text for path, text in by.items()), "the one of `both`"
    assert files(wifi="client", country="DE")[0].keys() == files()[0].keys(), "and none where it joins nothing"


ACCESS_POINT = pathlib.Path(ROOT) / "images/pi/files/usr/lib/waypost/access-point"


def test_the_access_point_comes_and_goes_as_the_node_asks(tmp_path: pathlib.Path) -> None:
    run, tools, said = tmp_path / "run", tmp_path / "bin", tmp_path / "said"
    for folder in (run / "waypost-node", run / "systemd/network", tools):
        folder.mkdir(parents=True)
    for name in ("iw", "systemctl", "networkctl"):
        (tools / name).write_text(f'#!/bin/sh\necho {name} "$@" >>{said}\n')
        (tools / name).chmod(0o755)

    def ask(text: str | None) -> list[str]:
        if text is not None:
            (run / "waypost-node/access-point").write_text(text)
        said.write_text("")
        environment = {"PATH": f"{tools}:/usr/bin:/bin"}
        subprocess.run(["sh", str(ACCESS_POINT), str(run)], env=environment, check=True)
        return said.read_text().splitlines()

    def there() -> list[str]:
        return sorted(path.name for path in run.rglob("*") if path.is_file() and path.parent.name != "standby")

    assert ask("on\n") == [], "nothing lies by: our own is up whatever the node says, or Wi-Fi is off"
    settings = filled({"net.wifi": "client", "net.country": "DE", "net.ssid": "Hall", "net.password": "12345678"})
    configure.set_up(settings.values, "Library", str(tmp_path))
    assert (run / "waypost/standby/wifi-ap0.conf").stat().st_mode & 0o777 == 0o600
    before = there()
    assert ask("auto\n") == [] and there() == before
    on = ["networkctl reload", "iw dev wlan0 interface add ap0 type __ap", "systemctl start waypost-portal.service"]
    assert ask("on\n") == on
    assert sorted(set(there()) - set(before)) == ["15-own.network", "portal.conf", "wifi-ap0.conf"]
    assert (run / "waypost/wifi-ap0.conf").stat().st_mode & 0o777 == 0o600
    assert ask(None) == on, "said again it does no harm"
    assert ask("auto\n") == ["systemctl stop waypost-portal.service", "iw dev ap0 del", "networkctl reload"]
    assert there() == before and ask(None) == []


def test_a_client_without_a_name_is_told() -> None:
    found, problems = files(wifi="client", country="DE")
    assert problems == ["net.ssid is missing: there is no Wi-Fi to join"] and CLIENT not in found


def test_an_open_access_point_has_the_nodes_name() -> None:
    found, problems = files(wifi="ap", country="DE")
    assert not problems
    text = found[CLIENT]
    assert f"ssid={'Bücherei'.encode().hex()}" in text and "mode=2" in text and "key_mgmt=NONE" in text
    assert "frequency=2437" in text and "psk" not in text
    assert "address=/#/10.42.0.1" in found[PORTAL] and "interface=wlan0" in found[PORTAL]
    assert "Address=10.42.0.1/24" in found["run/systemd/network/15-own.network"]


def test_a_closed_access_point() -> None:
    found, _ = files(wifi="ap", country="DE", ap_ssid="IEEE", ap_password="password", ap_channel=11)
    # IEEE 802.11-2020, J.4.2, test case 1
    assert "psk=f42c6fc52df0ebef9ebb4b90b38a5f902e83fe1b135a70e23aed762e9710a12e" in found[CLIENT]
    assert "frequency=2462" in found[CLIENT] and "proto=RSN" in found[CLIENT]


def test_both_at_once_are_two_faces_of_one_radio() -> None:
    found, problems = files(wifi="both", country="DE", ssid="Hall", password="12345678", ap_ssid="Library")
    assert not problems and "mode=2" in found[OWN] and "mode=2" not in found[CLIENT]
    assert "interface=ap0" in found[PORTAL] and "Name=ap0" in found["run/systemd/network/15-own.network"]


def test_both_without_a_wifi_to_join_is_an_access_point() -> None:
    found, problems = files(wifi="both", country="DE")
    assert len(problems) == 1 and "mode=2" in found[CLIENT] and OWN not in found


def test_nobody_on_the_internet_is_named() -> None:
    found, _ = files(wifi="both", country="DE", ssid="Hall", password="12345678")
    addresses = set(re.findall(r"\b\d+\.\d+\.\d+\.\d+\b", "".join(found.values())))
    assert addresses == {"10.42.0.1", "10.42.0.10", "10.42.0.250"}


@pytest.mark.skipif(shutil.which("dnsmasq") is None, reason="dnsmasq is not installed")
def test_dnsmasq_takes_its_file(tmp_path: Any) -> None:
    found, _ = files(wifi="ap", country="DE")
    (tmp_path / "portal.conf").write_text(found[PORTAL])
    subprocess.run(["dnsmasq", "--test", f"--conf-file={tmp_path / 'portal.conf'}"], check=True, capture_output=True)
