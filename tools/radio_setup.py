"""`waypost radio setup`: the settings of a Meshtastic radio, shown or changed by the `meshtastic` library.

The library runs in a process of its own (tools/radio_device.py), because it has threads that may hang and a licence of
its own; it is an extra that only this command needs. What was asked for is read back after the radio has restarted, and
the lines for waypost.toml are said at the end. A radio that a running node uses is left alone.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import subprocess
import sys
import time
from importlib.util import find_spec

from edge import config
from edge.errors import BadRequest, LinkError, NotRunning, Unavailable
from radios.lora.meshtastic.facts import PRESETS, REGIONS
from radios.lora.meshtastic.lines import tcp_address
from radios.lora.modem import LinkDown
from radios.lora.serialport import Finder
from tools import cli_show as show
from tools import radio_find
from tools.client import Client

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from edge.settings import Config

NAME_BYTES_MAX, SHORT_BYTES_MAX, CHANNEL_BYTES_MAX = 39, 4, 11  # as the devices hold them
PSK_BYTES = (1, 16, 32)
WORKER_S = 120
RESTART_S = 90  # until the radio must have what it was given
AGAIN_S = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `waypost radio setup`."""
    parser.add_argument("--device", default=None, metavar="WHERE",
                        help="/dev/..., usb:SERIAL or tcp:HOST:PORT (default: lora.device, or the only one there is)")
    parser.add_argument("--region", choices=sorted(row[0] for row in REGIONS.values()), metavar="REGION", default=None,
                        help="the region whose radio law holds, as Meshtastic calls it, such as EU_868")
    parser.add_argument("--preset", choices=[row[0] for row in PRESETS.values()], metavar="PRESET", default=None,
                        help="how fast and how far, such as LongFast or MediumFast; the same on all radios")
    parser.add_argument("--channel", default=None, metavar="NAME",
                        help=f"have a channel of this name, beside the primary one (at most {CHANNEL_BYTES_MAX} bytes)")
    parser.add_argument("--psk", default=None, metavar="KEY",
                        help='the key of --channel in base64, the same on all radios; "random" makes one')
    parser.add_argument("--name", default=None, metavar="NAME", help="what people call this radio")
    parser.add_argument("--short", default=None, metavar="NAME", help="the same in at most four letters")
    parser.add_argument("--udp", choices=("on", "off"), default=None, help="the mesh over UDP on its network")


def run(args: argparse.Namespace) -> int:
    """waypost radio setup"""
    want = _wanted(args)
    settings, _ = config.load(args.dir, args.overrides)
    where = args.device or _default_device(settings)
    _not_in_use(args.dir, settings, where)
    if find_spec("meshtastic") is None:
        raise Unavailable("this needs the meshtastic library", where="waypost radio setup",
                          hint="pip install 'waypost[meshtastic]'; it is used by this command alone")
    place = _place(where)
    now = _ask_worker(place, {})
    left = _differs(now, want)
    if left:
        if not args.json:
            print(f"setting {', '.join(left)}; the radio restarts", flush=True)
        _ask_worker(place, {name: want[name] for name in left})
        now = _read_back(place, want)
    if args.json:
        show.print_json(now | {"device": where, "set": left})
    else:
        print("\n".join(_lines(where, now, want)))
    return 0


def _wanted(args: argparse.Namespace) -> dict[str, Any]:
    """What was asked for, checked. Raises BadRequest."""
    want = {name: getattr(args, name) for name in ("region", "preset", "name", "short")
            if getattr(args, name) is not None}
    for name, most in (("name", NAME_BYTES_MAX), ("short", SHORT_BYTES_MAX), ("channel", CHANNEL_BYTES_MAX)):
        value = getattr(args, name)
        if value is not None and (not value.strip() or not value.isprintable() or len(value.encode()) > most):
            raise BadRequest(f'can\'t be "{show.clean(value)}"', where="--" + name, allowed=f"1..{most} bytes of text")
    if args.udp is not None:
        want["udp"] = args.udp == "on"
    if args.psk is not None and args.channel is None:
        raise BadRequest("needs the channel that it is for", where="--psk", hint="--channel NAME --psk KEY")
    if args.channel is not None:
        want["channel"] = {"name": args.channel, "psk": _psk(args.psk)}
    return want


def _psk(text: str | None) -> str | None:
    """The key of a channel in base64; None: whatever it has, or a fresh one."""
    if text is None:
        return None
    if text == "random":
        return base64.b64encode(os.urandom(32)).decode()
    try:
        key = binascii.a2b_base64(text, strict_mode=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) not in PSK_BYTES:
        raise BadRequest("is no channel key", where="--psk", allowed='1, 16 or 32 bytes in base64, or "random"')
    return text


def _default_device(settings: Config) -> str:
    if settings["lora.modem"] == "meshtastic" and settings["lora.device"]:
        return str(settings["lora.device"])
    found = [row["device"] for row in radio_find.serial() if row["serial"]]
    if len(found) != 1:
        raise BadRequest("which radio?" if found else "no radio is plugged in", where="--device",
                         allowed=", ".join(found), hint="waypost radio list shows what there is")
    return found[0]


def _not_in_use(directory: str, settings: Config, where: str) -> None:
    """A serial port is locked; over TCP our connection would throw the node's out. Raises Unavailable."""
    try:
        with Client(directory) as client:
            links = client.call("node.status@1", deadline_ms=3000).get("links") or {}
    except (NotRunning, Unavailable):
        return
    used = [name for name, link in links.items() if link.get("device") == where]
    if used:
        raise Unavailable(f"the running node uses this radio as link {used[0]}", where=where,
                          hint="stop the node, set the radio up, start it again")


def _place(where: str) -> dict[str, Any]:
    """The address as the library wants it. Raises LinkError."""
    if where.startswith("ble:"):
        raise LinkError("a radio is set up by USB or TCP, not over Bluetooth", where=where, hint="plug it in")
    try:
        address = tcp_address(where)
        if address is not None:
            return {"host": address[0], "port": address[1]}
        return {"path": Finder(where).path()}
    except LinkDown as error:
        raise LinkError(error.text, where=where) from None


def _ask_worker(place: dict[str, Any], want: dict[str, Any]) -> dict[str, Any]:
    """Set `want` (nothing: only look) and give what the radio is set to. Raises LinkError."""
    where = place.get("path") or f"{place['host']}:{place['port']}"
    try:
        done = subprocess.run([sys.executable, "-m", "tools.radio_device"], capture_output=True, timeout=WORKER_S,
                              input=json.dumps({"place": place, "want": want}).encode())
    except subprocess.TimeoutExpired:
        raise LinkError("the radio gives no answer", where=where, hint="switch it off and on") from None
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise LinkError(f"the meshtastic library ended without an answer: {last[:200]}", where=where) from None
    if "error" in answer:
        raise LinkError(answer["error"], where=where, hint=answer.get("hint", ""))
    return answer


def _differs(now: dict[str, Any], want: dict[str, Any]) -> list[str]:
    """The names of what is not as it is wanted."""
    out: list[str] = [name for name in want if name != "channel" and now[name] != want[name]]
    if "channel" in want:
        has = next((one for one in now["channels"] if one["name"] == want["channel"]["name"]), None)
        if has is None or want["channel"]["psk"] not in (None, has["psk"]):
            out.append("channel")
    return out


def _read_back(place: dict[str, Any], want: dict[str, Any]) -> dict[str, Any]:
    """What the radio is set to once it has restarted. Raises LinkError where it is not what was wanted."""
    until_s = time.monotonic() + RESTART_S
    while True:
        time.sleep(AGAIN_S)
        try:
            now = _ask_worker(place, {})
            left = _differs(now, want)
            if not left:
                return now
            fault = LinkError(f"the radio did not take {', '.join(left)}", hint="waypost radio setup shows what it has")
        except LinkError as error:
            fault = error
        if time.monotonic() > until_s:
            raise fault


def _lines(where: str, now: dict[str, Any], want: dict[str, Any]) -> list[str]:
    channels = ", ".join(show.clean(one["name"] or now["preset"]) for one in now["channels"])
    out = [f"radio     {now['node']} \"{show.clean(now['name'])}\" ({show.clean(now['short'])}), firmware "
           f"{show.clean(now['firmware'])}",
           f"region    {now['region'] or 'not set: it does not transmit; set one with --region'}",
           f"preset    {now['preset']}, {now['hop_limit']} hops", f"channels  {channels}",
           f"udp       {'on' if now['udp'] else 'off'}"]
    if "channel" in want:
        psk = next(one["psk"] for one in now["channels"] if one["name"] == want["channel"]["name"])
        out.append(f"on the other radios: --channel {want['channel']['name']} --psk {psk}")
    out += ["for waypost.toml:", "  [lora]", "  enabled = true", '  modem = "meshtastic"', f'  device = "{where}"']
    if "channel" in want:
        out.append(f'  channel = "{want["channel"]["name"]}"')
    return out
