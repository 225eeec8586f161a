"""The network of the place, from settings to the files of networkd, wpa_supplicant and dnsmasq.

A cable always works: an address by DHCP, and one of its own where nobody gives any. Wi-Fi needs a country, for the law
differs. On our own Wi-Fi every name leads to this box, so that a phone that looks for the internet finds the page. A
client has all of that lying by, for the times when the node asks for it (images/pi, usr/lib/waypost/access-point).
Nothing here touches the system: files() gives texts, tools/box/configure.py writes them.
"""

from __future__ import annotations

import hashlib

from edge.settings import AP_ADDRESS as ADDRESS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

WIFI, OWN = "wlan0", "ap0"  # the radio; its second face where it is client and access point at once
# how often a client looks for a lost router, in seconds, growing: a radio that searches is deaf on its other face
_SEARCH = "exponential:5:60"
# ISO 3166-1 alpha-2, and Kosovo's
_COUNTRIES = (
    "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ "
    "CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO "
    "FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE "
    "JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO "
    "MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW "
    "PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM "
    "TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW "
)
_NETWORK, _RUN, _STANDBY = "run/systemd/network", "run/waypost", "run/waypost/standby"
_DHCP = """[Network]
DHCP=yes
IPv6AcceptRA=yes
LinkLocalAddressing=yes
LLMNR=no
MulticastDNS=no

[DHCPv4]
ClientIdentifier=mac
UseDomains=no

[DHCPv6]
DUIDType=link-layer

[Link]
RequiredForOnline=no
"""


def files(settings: dict[str, Any], name: str) -> tuple[dict[str, str], list[str]]:
    """({path below /: text}, what is wrong in words). settings: dotted names; name: what people call the node."""
    out = {f"{_NETWORK}/10-cable.network": f"[Match]\nType=ether\n\n{_DHCP}",
           f"{_NETWORK}/10-gadget.network": f"[Match]\nType=gadget\n\n{_DHCP}"}
    mode, country = settings["net.wifi"], settings["net.country"].upper()
    problems: list[str] = []
    if mode == "off":
        return out, problems
    if country not in _COUNTRIES.split():
        wrong = f'can\'t be "{country}", which is no country' if country else "is missing"
        meant = "GB" if country == "UK" else "DE"
        return out, [f'net.country {wrong}: Wi-Fi stays off until it says where the box is, such as "{meant}"']
    if mode in ("client", "both"):
        if settings["net.ssid"]:
            out[f"{_RUN}/wifi-{WIFI}.conf"] = _client(settings, country)
            out[f"{_NETWORK}/20-wifi.network"] = f"[Match]\nName={WIFI}\n\n{_DHCP}"
        else:
            problems.append("net.ssid is missing: there is no Wi-Fi to join")
    if mode in ("ap", "both"):
        face = OWN if f"{_RUN}/wifi-{WIFI}.conf" in out else WIFI
        out |= _own(settings, country, name, face)
    elif f"{_RUN}/wifi-{WIFI}.conf" in out:
        out |= {f"{_STANDBY}/{path.rpartition('/')[2]}": text
                for path, text in _own(settings, country, name, OWN).items()}
    return out, problems


def _own(settings: dict[str, Any], country: str, name: str, face: str) -> dict[str, str]:
    """Our own Wi-Fi on a face of the radio."""
    return {
        f"{_RUN}/wifi-{face}.conf": _access_point(settings, country, name),
        f"{_NETWORK}/15-own.network":
            f"[Match]\nName={face}\n\n[Network]\nAddress={ADDRESS}/24\nConfigureWithoutCarrier=yes\nLLMNR=no\n"
            "MulticastDNS=no\nIPv6AcceptRA=no\n\n[Link]\nRequiredForOnline=no\n",
        f"{_RUN}/portal.conf": _portal(face),
    }


def _client(settings: dict[str, Any], country: str) -> str:
    password = settings["net.password"]
    lines = [f"ssid={_hex(settings['net.ssid'])}", "scan_ssid=1"]
    if password:
        lines += ["key_mgmt=WPA-PSK WPA-PSK-SHA256 SAE", "ieee80211w=1", f'psk="{password}"']
    else:
        lines += ["key_mgmt=NONE"]
    return _supplicant(country, lines, f"autoscan={_SEARCH}\n")


def _access_point(settings: dict[str, Any], country: str, name: str) -> str:
    ssid = settings["net.ap_ssid"] or name.encode()[:32].decode("utf-8", "ignore")
    lines = [f"ssid={_hex(ssid)}", "mode=2", f"frequency={2407 + 5 * settings['net.ap_channel']}"]
    if settings["net.ap_password"]:
        key = hashlib.pbkdf2_hmac("sha1", settings["net.ap_password"].encode(), ssid.encode(), 4096, 32)
        lines += ["key_mgmt=WPA-PSK", "proto=RSN", "pairwise=CCMP", "group=CCMP", f"psk={key.hex()}"]
    else:
        lines += ["key_mgmt=NONE"]
    return _supplicant(country, lines)


def _supplicant(country: str, network: list[str], more: str = "") -> str:
    inside = "".join(f"\t{line}\n" for line in network)
    return (f"ctrl_interface=/run/wpa_supplicant\ncountry={country}\nupdate_config=0\np2p_disabled=1\n{more}\n"
            f"network={{\n{inside}}}\n")


def _portal(face: str) -> str:
    head = ADDRESS.rpartition(".")[0]
    return (f"interface={face}\nexcept-interface=lo\nbind-dynamic\nno-resolv\nno-hosts\nno-poll\n"
            f"address=/#/{ADDRESS}\nlocal-ttl=10\ndhcp-range={head}.10,{head}.250,1h\ndhcp-authoritative\n"
            f"dhcp-leasefile=/run/waypost/leases\ndhcp-lease-max=240\n"
            f"dhcp-option=option:router,{ADDRESS}\ndhcp-option=option:dns-server,{ADDRESS}\n")


def _hex(text: str) -> str:
    return text.encode().hex()
