"""The box's own Wi-Fi: a phone joins it, gets an address, and is sent to the page whatever it looks for.

The kernel's radios without hardware (mac80211_hwsim) carry real 802.11 frames between the box's access point and a
client in a network namespace of its own, which is the phone.
"""

from __future__ import annotations

import pathlib
import time

from images.test.machine import Machine, new_card, put_boot_file
from images.test.test_power import script
from tests.waiting import PATIENCE

SETTINGS = """[node]
name = "Library"
[net]
wifi = "ap"
country = "DE"
ap_ssid = "Library"
ap_password = "soup at six"
"""
JOIN = """network={
ssid="Library"
key_mgmt=WPA-PSK
psk="soup at six"
}
"""
# a DHCP client of thirty lines (RFC 2131), for the phone
DHCP = """import os, socket, struct, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b'wlan1')
s.bind(('', 68))
s.settimeout(5)
mac = bytes.fromhex(open('/sys/class/net/wlan1/address').read().strip().replace(':', ''))
def ask(kind, options=b''):
    head = struct.pack('>BBBBIHH', 1, 1, 6, 0, 7, 0, 0x8000) + bytes(16) + mac.ljust(16, b'\\0') + bytes(192)
    s.sendto(head + b'\\x63\\x82\\x53\\x63\\x35\\x01' + bytes([kind]) + options + b'\\xff', ('255.255.255.255', 67))
    data = s.recv(1500)
    return socket.inet_ntoa(data[16:20]), data[20:24]
for n in range(12):
    try:
        address, _ = ask(1)
        print('offered', address)
        got, _ = ask(3, b'\\x32\\x04' + socket.inet_aton(address) + b'\\x36\\x04' + socket.inet_aton('10.42.0.1'))
        os.system('ip addr add %s/24 dev wlan1; ip route add default via 10.42.0.1' % got)
        print('leased', got)
        break
    except OSError as error:
        print(error)
        time.sleep(2)
"""
LOOK = """import socket, http.client
q = bytes.fromhex('00070100000100000000000007') + b'captive\\x05apple\\x03com\\x00\\x00\\x01\\x00\\x01'
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(10)
s.sendto(q, ('10.42.0.1', 53))
print('name', socket.inet_ntoa(s.recv(512)[-4:]))
for host, path in (('captive.apple.com', '/hotspot-detect.html'), ('connectivitycheck.gstatic.com', '/generate_204')):
    c = http.client.HTTPConnection('10.42.0.1', 80, timeout=60)
    c.request('GET', path, headers={'Host': host})
    r = c.getresponse()
    print(host, r.status, r.getheader('Location'))
c = http.client.HTTPConnection('10.42.0.1', 80, timeout=60)
c.request('GET', '/')
r = c.getresponse()
print('page', r.status, b'<title>' in r.read())
"""


def a_phone_joins(box: Machine) -> str:
    """Join the box's Wi-Fi with wlan1, in a network namespace of its own; what it found out there."""
    box.shell("ip netns add phone; iw phy $(cat /sys/class/net/wlan1/phy80211/name) set netns name phone")
    box.shell(f"echo {JOIN.encode().hex()} | python3 -c 'import sys; "
              "print(bytes.fromhex(sys.stdin.read()).decode())' >/tmp/phone.conf")
    box.shell("ip netns exec phone sh -c 'ip link set lo up; ip link set wlan1 up; "
              "wpa_supplicant -B -i wlan1 -D nl80211 -c /tmp/phone.conf'")
    until = time.monotonic() + 120 * PATIENCE
    while "Connected to" not in box.shell("ip netns exec phone iw dev wlan1 link"):
        assert time.monotonic() < until, box.shell("journalctl --no-pager | tail -30")
        time.sleep(2)
    said = box.shell(f"ip netns exec phone sh -c \"{script(DHCP)}\"", 180 * PATIENCE)
    assert "leased 10.42.0." in said, said + box.shell("journalctl -u waypost-portal --no-pager | tail")
    return box.shell(f"ip netns exec phone sh -c \"{script(LOOK)}\"", 180 * PATIENCE)


def test_a_phone_joins_and_the_page_opens(image: pathlib.Path, tmp_path: pathlib.Path) -> None:
    card = new_card(image, tmp_path)
    put_boot_file(card, "waypost.toml", SETTINGS.encode())
    with Machine(card, tmp_path) as box:
        box.start()
        box.ready()
        box.shell("modprobe mac80211_hwsim radios=2; udevadm settle")
        until = time.monotonic() + 120 * PATIENCE
        while "10.42.0.1/24" not in box.shell("ip -4 addr show wlan0") or "AP" not in box.shell("iw dev wlan0 info"):
            assert time.monotonic() < until, box.shell("journalctl -u 'waypost-wifi@*' --no-pager | tail; ip addr")
            time.sleep(2)
        said = a_phone_joins(box)
        print(said)
        assert "name 10.42.0.1" in said
        assert said.count("302 http://10.42.0.1/") == 2 and "page 200 True" in said
        assert box.shell("systemctl --failed --no-legend").strip() == ""


def test_a_client_makes_its_own_wifi_in_an_emergency(image: pathlib.Path, tmp_path: pathlib.Path) -> None:
    card = new_card(image, tmp_path)
    settings = SETTINGS.replace('wifi = "ap"', 'wifi = "client"\nssid = "Router"\npassword = "is dark now"')
    put_boot_file(card, "waypost.toml", settings.encode())
    with Machine(card, tmp_path) as box:
        box.start()
        box.ready()
        box.shell("modprobe mac80211_hwsim radios=2; udevadm settle")
        assert "type managed" in box.shell("iw dev wlan0 info")
        box.shell("waypost --dir /data/waypost declare emergency")
        until = time.monotonic() + 120 * PATIENCE
        while not all(word in box.shell("iw dev ap0 info 2>&1; ip -4 addr show ap0 2>&1")
                      for word in ("type AP", "ssid Library", "10.42.0.1/24")):
            assert time.monotonic() < until, box.shell("journalctl -u 'waypost-*' --no-pager | tail -30; ip addr")
            time.sleep(2)
        assert box.shell("systemctl is-active waypost-wifi@ap0 waypost-portal").split() == ["active", "active"]
        assert "type managed" in box.shell("iw dev wlan0 info"), "it goes on looking for its router"
        said = a_phone_joins(box)
        assert "name 10.42.0.1" in said and "page 200 True" in said, said
        assert box.shell("systemctl --failed --no-legend").strip() == ""
