"""The settings of a node: one table of keys, one file, and overrides from the command line.

It decides what a setting may be and says in words what is wrong with one that isn't: file, line, column, what was
allowed, what to do. A broken file never stops a node: each bad setting falls back to its default and is reported.
Where the community key itself can't be read all links stay off, for a node that can't prove its membership must not
talk as a stranger instead; where the console's PIN can't be read, no PIN opens the console. It never opens a socket and
never prints a secret. docs/CONFIG.md is made from this table.
"""

from __future__ import annotations

import os
import re

from edge import tomlfile
from edge.errors import ConfigError
from edge.settings import Config, split_address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

FILE_NAME = "waypost.toml"
MACHINE_DIRECTORY = "/etc/waypost"
_HEX_KEY_CHARS = 64
LOCKED = "\0"  # console.pin where the file means one that can't be made out: nobody can type it
_HIDDEN = ("secret", "channel_key", "password", "token", "pin")
_PROBLEMS_MAX = 50  # of one file; the rest is only counted
_DEPTH_MAX = 4  # of tables in tables; a setting has two
_KEY_LIKE = re.compile(r"(?<![0-9A-Za-z+/_-])(?:[0-9A-Fa-f]{64}|[0-9A-Za-z+/_-]{43}=)(?![0-9A-Za-z+/=_-])")
_PIN_LIKE = re.compile(r"^[^#\n]*\bpin\b", re.IGNORECASE | re.MULTILINE)


class Key:
    """One setting. kind: bool, int, text, https, choice, secret, channel_key, password, token, pin, country, position,
    or texts, addresses, hosts, keys, policy (lists of text); low and high bound an int's value or a text's length in
    bytes; choices is a tuple for kind choice."""

    __slots__ = ("name", "kind", "default", "low", "high", "unit", "choices", "help")

    def __init__(self, name: str, kind: str, default: Any, help: str, *, low: int = 0, high: int = 255,
                 unit: str = "", choices: tuple[str, ...] = ()) -> None:
        self.name = name
        self.kind = kind
        self.default = default
        self.help = help
        self.low = low
        self.high = high
        self.unit = unit
        self.choices = choices

    def allowed(self) -> str:
        """What a value may be, in words."""
        if self.kind == "int":
            return f"a whole number {self.low}..{self.high}" + (f" ({self.unit})" if self.unit else "")
        if self.kind == "choice":
            return " or ".join(f'"{one}"' for one in self.choices)
        return {
            "bool": "true or false",
            "text": f"text of at most {self.high} bytes",
            "https": "an address that begins with https://",
            "secret": "32 bytes, as 64 hex digits or 44 characters of base64",
            "token": f"at most {self.high} printable characters without spaces",
            "channel_key": "1, 16 or 32 bytes in base64, as Meshtastic shows it",
            "password": "8 to 63 letters, digits and signs of ASCII",
            "pin": f'at most {self.high} letters and figures in "quotes", or a number that does not begin with 0',
            "country": 'two letters, such as "DE"',
            "texts": "a list of texts",
            "addresses": 'a list of "HOST", "HOST:PORT" or "[IPV6]:PORT"',
            "keys": "a list of node keys, each of 64 hex digits",
            "hosts": "a list of names of hosts, not of addresses",
            "policy": 'a list of "FIELD=VALUE" (EMERGENCY.md has the fields)',
            "position": 'LAT,LON in degrees, such as "52.0116,4.3571"',
        }[self.kind]


KEYS = (
    Key("node.name", "text", "", "what people call this node; empty is the machine's host name", high=64),
    Key("node.board", "text", "auto", "the board file that says what this machine is; auto: look", low=1, high=64),
    Key("node.time_zone", "text", "", 'where the place is, such as "Europe/Berlin"; only on the image', high=64),
    Key("web.enabled", "bool", True, "serve the page"),
    Key("web.port", "int", 8080, "the page's TCP port; 0 is any free one", high=65535),
    Key("web.host", "text", "", 'where the page listens: empty is every address, "localhost" this machine only'),
    Key("web.phone_page", "https", "", "address of the page that goes over Bluetooth (waypost page), told to visitors"),
    Key("console.pin", "pin", "", "what the console asks for; empty: whoever holds the cable may use it", high=32),
    Key("lan.enabled", "bool", True, "talk to nodes on the local network"),
    Key("lan.port", "int", 7373, "the TCP port for sessions with other nodes; 0 is any free one", high=65535),
    Key("lan.multicast", "bool", True, "find neighbours by UDP multicast"),
    Key("lan.group_port", "int", 7374, "the UDP port of the multicast groups", low=1, high=65535),
    Key("lan.peers", "addresses", (), "nodes to connect to that multicast does not reach"),
    Key("lan.mdns", "bool", True, "announce the node as _waypost._tcp where zeroconf or avahi is there"),
    Key("lan.udp", "bool", False, "open the UDP link for leaves (microcontrollers), on the number of lan.port"),
    Key("lan.udp_peers", "addresses", (), "leaves to greet on the UDP link until they answer"),
    Key("lan.interfaces", "texts", (), "network interfaces to use, by name; empty is all"),
    Key("net.wifi", "choice", "off", "on the image: off, join a Wi-Fi, make one (ap), or both", choices=(
        "off", "client", "ap", "both")),
    Key("net.country", "country", "", "where the box is, for the radio law of Wi-Fi; empty: no Wi-Fi"),
    Key("net.ssid", "text", "", "the Wi-Fi to join", high=32),
    Key("net.password", "password", "", "its password"),
    Key("net.ap_ssid", "text", "", "the Wi-Fi to make; empty: the node's name", high=32),
    Key("net.ap_password", "password", "", "its password; empty: everybody may join"),
    Key("net.ap_channel", "int", 6, "its channel (2.4 GHz); with both: that of the Wi-Fi joined", low=1, high=13),
    Key("lora.enabled", "bool", False, "talk over a LoRa radio"),
    Key("lora.modem", "choice", "", "what the radio is", choices=(
        "", "meshtastic", "meshtastic-udp", "rnode", "rylr998", "rylr896", "e22")),
    Key("lora.device", "text", "", 'where it is: /dev/ttyUSB0, "usb:SERIAL" or, for meshtastic, HOST:PORT or '
        '"ble:NAME"'),
    Key("lora.channel", "text", "", "the Meshtastic channel that frames go on; empty: the primary one", high=11),
    Key("lora.psk", "channel_key", "", "that channel's key, for meshtastic-udp alone; empty: the public one"),
    Key("lora.preset", "text", "", "the preset of the radios around (meshtastic-udp); empty: LongFast", high=16),
    Key("lora.region", "text", "", "the region whose radio law holds, such as EU868; empty: never transmit", high=32),
    Key("lora.freq_hz", "int", 0, "frequency; 0 where the radio knows it", high=3000000000, unit="Hz"),
    Key("lora.bw_hz", "int", 0, "bandwidth; 0 where the radio knows it", high=2000000, unit="Hz"),
    Key("lora.sf", "int", 0, "spreading factor; 0 where the radio knows it", high=12),
    Key("lora.cr_den", "int", 0, "coding rate 4/5 to 4/8, the last figure; 0 where the radio knows it", high=8),
    Key("lora.power_dbm", "int", 0, "transmit power; 0 where the radio knows it", high=33, unit="dBm"),
    Key("lora.air_rate", "int", 0, "air rate of an e22", high=62500, unit="bit/s"),
    Key("models.enabled", "bool", True, "run the local models that are installed"),
    Key("models.chat", "text", "", "the model that answers; empty is the largest that fits", high=48),
    Key("models.embed", "text", "", "the model that turns texts into vectors; empty is the largest that fits", high=48),
    Key("models.context", "int", 1024, "what a question and its answer may take together", low=128, high=131072,
        unit="tokens"),
    Key("models.memory_mb", "int", 0, "what a running model may take; 0 is what the machine has left", high=1048576,
        unit="MB"),
    Key("models.small_mb", "int", 400, "the largest model while heat or battery allow small ones only", high=1048576,
        unit="MB"),
    Key("models.threads", "int", 0, "cores that compute; 0 is one fewer than there are", high=64),
    Key("models.idle_s", "int", 90, "a model that nobody asks leaves the memory", low=1, high=86400, unit="s"),
    Key("models.quota_mb", "int", 8192, "disk space for models", low=1, high=1048576, unit="MB"),
    Key("models.api", "bool", True, "offer them to programs that speak the OpenAI API, at /v1 of the page's address"),
    Key("net.probe", "bool", True, "look now and then whether the internet is there (EMERGENCY.md says how)"),
    Key("net.names", "hosts", ("empty.as112.arpa",), "a made-up name under one of these is looked up; empty is none"),
    Key("net.servers", "addresses", (), "name servers to ask; empty is those of this machine (/etc/resolv.conf)"),
    Key("net.connect", "addresses", (), 'places such as "example.org:443" to which a connection is tried as well'),
    Key("sensors.enabled", "bool", True, "read the sensors that the board file names, and the disk"),
    Key("sensors.light", "bool", True, "show on the board's light how things are"),
    Key("sensors.screen", "bool", True, "make a screen of the box dim or dark to save power (EMERGENCY.md: display)"),
    Key("sensors.button", "bool", True, "heed the board's button"),
    Key("sensors.ups", "text", "", 'a UPS on the I2C bus: "CHIP@BUS:ADDRESS", such as "max17040@1:0x36"', high=32),
    Key("sensors.ups_cells", "int", 1, "cells of its battery in series, for an ina219", low=1, high=8),
    Key("sensors.nut", "text", "", 'a UPS that Network UPS Tools knows: "UPS@HOST" or "UPS@HOST:PORT"', high=128),
    Key("sensors.battery_low", "int", 20, "below this a battery counts as low", low=1, high=90, unit="%"),
    Key("emergency.quorum", "int", 3, "weight of neighbours' reports that makes an emergency: a member counts 1, a "
        "trusted node 2, an anchor 3, and there must be two at least", low=2, high=99),
    Key("emergency.calm", "policy", (), "what is otherwise than in EMERGENCY.md while all is calm"),
    Key("emergency.watch", "policy", (), "the same for watch"),
    Key("emergency.emergency", "policy", (), "the same for emergency"),
    Key("emergency.recovery", "policy", (), "the same for recovery"),
    Key("ble.enabled", "bool", False, "talk over Bluetooth LE, to nodes, leaves and phones in reach"),
    Key("ble.adapter", "text", "", "the Bluetooth adapter, such as hci1, or its address; empty is the first one"),
    Key("ble.duty", "choice", "auto", "how often to listen for others: saving where power is short, always in a busy "
        "hall; auto saves on a battery that is half empty", choices=("auto", "usual", "saving", "always")),
    Key("ble.out_max", "int", 3, "connections to others at one time; 0 never connects", high=4),
    Key("ble.in_max", "int", 3, "connections from others at one time; 0 can't be found", high=4),
    Key("ble.page", "bool", True, "let phones in reach use the page, without a key, like those in the Wi-Fi"),
    Key("texts.enabled", "bool", True, "answer people who send texts to this node's Meshtastic radio"),
    Key("texts.channel", "text", "", 'a Meshtastic channel on which "?help" and so on are answered as well, by direct '
        "message; alerts go there too, else to the primary one", high=11),
    Key("texts.post", "bool", True, "people with radios may post on the board"),
    Key("texts.airtime_s", "int", 36, "the airtime that the answers to one person may take in an hour", low=1, high=360,
        unit="s"),
    Key("community.key", "secret", "", "the key that every node of the community holds; empty is an open node"),
    Key("community.name", "text", "", "what the community is called; it stands in everything its stewards sign",
        high=32),
    Key("community.stewards", "keys", (), "the keys of its stewards: they say who may issue official alerts, and can "
        "halt the community"),
    Key("community.stewards_needed", "int", 0, "so many stewards must sign; 0 is more than half of them", high=16),
    Key("alerts.position", "position", "", "where this node stands, for alerts that are for a circle or a polygon"),
    Key("alerts.places", "texts", (), "names by which alerts may call this place: village, district, county, codes"),
    Key("alerts.feed", "text", "", "a directory: CAP files that appear in it are issued by this node"),
    Key("trust.trusted", "keys", (), "nodes that may call what asks for trust"),
    Key("trust.anchors", "keys", (), "nodes that may call everything, like the person at this machine"),
    Key("library.built_in", "bool", True, "have the pack that comes with the software in the library"),
    Key("library.models", "bool", True, "models sum up what the library finds; else the passages are the whole answer"),
    Key("library.hubs", "keys", (), "larger nodes: one should be near, and their models are asked after all others"),
    Key("library.paid_url", "text", "", "an OpenAI-compatible service, such as https://HOST/v1, asked last of all"),
    Key("library.paid_key", "token", "", "your key for it"),
    Key("library.paid_model", "text", "", "its model's name", high=128),
    Key("library.paid_tokens_day", "int", 0, "tokens that it may cost a day; 0 is none", high=100000000),
    Key("library.authors", "keys", (), "authors whose knowledge packs may be added (docs/PACKS.md)"),
    Key("triage.enabled", "bool", True, "look at each text for calls for help (docs/TRIAGE.md)"),
    Key("triage.model", "bool", True, "use the trained model beside the lexicon"),
    Key("update.keys", "keys", (), "who may sign updates of the image, beside whoever made it"),
    Key("store.quota_mb", "int", 512, "how much the message store may hold", low=1, high=1048576, unit="MB"),
    Key("log.level", "choice", "info", "what goes to the log", choices=("error", "warning", "info", "debug")),
)
BY_NAME = {key.name: key for key in KEYS}
_LINKS_OFF = {"lan.enabled": False, "lora.enabled": False, "ble.enabled": False}


def filled(values: dict[str, Any] | None = None) -> Config:
    """These settings, and every other one with its default."""
    full = {key.name: list(key.default) if isinstance(key.default, tuple) else key.default for key in KEYS}
    return Config(full | (values or {}))


def redacted(config: Config) -> dict[str, Any]:
    """All settings as they may be shown: a secret reads "(set)" or ""."""
    return {name: "(set)" if value and BY_NAME[name].kind in _HIDDEN else value
            for name, value in config.values.items()}


def load(directory: str, overrides: Iterable[str] = ()) -> tuple[Config, list[ConfigError]]:
    """The settings of a node's directory: defaults, then its waypost.toml, then "KEY=VALUE" overrides.

    Below the directory's file stands /etc/waypost/waypost.toml, where a machine has one.
    Gives the settings and what is wrong with the files, in the order of their lines. Raises ConfigError for a wrong
    override: whoever typed it is there to mend it.
    """
    values: dict[str, Any] = {}
    problems: list[ConfigError] = []
    for folder in (MACHINE_DIRECTORY, directory):
        found, wrong = _of_file(os.path.join(folder, FILE_NAME))
        values |= found
        problems += wrong
    for override in overrides:
        name, value = parse_override(override)
        values[name] = value
    return filled(values), problems


def parse_override(text: str) -> tuple[str, Any]:
    """("web.port", 0) of "web.port=0"; a list is given with commas. Raises ConfigError."""
    name, equals, raw = text.partition("=")
    name = name.strip()
    if not equals or not name:
        said = f"{(text.split() or ['it'])[0]} is not KEY=VALUE"
        raise ConfigError(said, where="--set", hint="for example --set web.port=0")
    key = BY_NAME.get(name)
    if key is None:
        raise ConfigError(f"{name} is no setting", where="--set", hint=tomlfile.suggestion(name, BY_NAME))
    raw = raw.strip()
    value: Any = raw
    if key.kind == "bool":
        value = {"true": True, "false": False}.get(raw.lower(), raw)
    elif key.kind == "int":
        value = int(raw) if raw.isascii() and raw.removeprefix("-").isdigit() and len(raw) < 20 else raw
    elif key.kind in ("texts", "addresses", "hosts", "keys", "policy"):
        if raw[:2] in ("[\"", "['", "[]"):
            raw = raw[1:].removesuffix("]")
        value = [one.strip().strip("\"'") for one in raw.split(",") if one.strip()]
    return name, check(key, value, "--set")


def check(key: Key, value: Any, where: str) -> Any:
    """The value as Config holds it, if `key` allows it; raises ConfigError if it doesn't. where: the place to name."""
    good, shown = _CHECKS[key.kind](key, value)
    if not good:
        said = "is not right" if key.kind in _HIDDEN else f"can't be {_shown(value)}"
        if key.kind == "policy" and shown:
            said = f"is not right: {shown[:300]}"
        hint = {"pin": 'for example pin = "2468"; until then nobody gets in',
                "secret": "waypost keys --new-community-key prints a fresh one",
                "channel_key": "waypost radio setup --channel NAME --psk random makes one"}.get(key.kind, "")
        raise ConfigError(f"{key.name} {said}", where=where, allowed=key.allowed(), hint=hint)
    return shown


def read(path: str, raw: bytes) -> tuple[dict[str, Any], list[ConfigError]]:
    """What a file sets, and what is wrong with it in the order of its lines. path: what the errors call the file.

    Where a mistake may concern the community key or the console's PIN, what it sets closes the links or the console.
    """
    values: dict[str, Any] = {}
    problems: list[ConfigError] = []
    try:
        tables, places = tomlfile.parse(path, raw)
    except ConfigError as error:
        text = tomlfile.text_of(raw)
        _close(path, "community" in text.lower() or _KEY_LIKE.search(text) is not None, mentions_pin(text), values,
               problems)
        return values, [error, *problems]
    note = tomlfile.note(path, raw)
    problems += [note] if note else []
    key_meant = pin_meant = False
    left_out = 0
    for name, value in sorted(_flat(tables), key=lambda item: _line_of(places.get(item[0], ""))):
        where = places.get(name, path)
        key = BY_NAME.get(name)
        try:
            if key is None:
                hint = tomlfile.suggestion(name, BY_NAME) if len(problems) < _PROBLEMS_MAX else ""
                key_meant = key_meant or _may_be_key(name, value, hint)
                pin_meant = pin_meant or "consol" in name.lower() or "console.pin" in hint or mentions_pin(name)
                raise ConfigError(f"{name} is no setting", where=where, hint=hint)
            values[name] = check(key, value, where)
        except ConfigError as error:
            left_out += len(problems) >= _PROBLEMS_MAX
            problems += [error] if len(problems) < _PROBLEMS_MAX else []
            key_meant, pin_meant = key_meant or name == "community.key", pin_meant or name == "console.pin"
    if left_out:
        problems.append(ConfigError(f"there are {left_out} more mistakes", where=path))
    _close(path, key_meant, pin_meant and not values.get("console.pin"), values, problems)
    return values, problems


def mentions_pin(text: str) -> bool:
    """Whether a text that is no TOML, or a name that is no setting, may be meant to set the console's PIN."""
    return _PIN_LIKE.search(text) is not None


def _of_file(path: str) -> tuple[dict[str, Any], list[ConfigError]]:
    try:
        with open(path, "rb") as file:
            raw = file.read(tomlfile.BYTES_MAX + 1)
    except (FileNotFoundError, NotADirectoryError):
        return {}, []
    except OSError as error:
        wrong = ConfigError(f"can't be read: {error.strerror}", where=path, hint="check its owner and mode")
        return dict(_LINKS_OFF), [wrong]
    return read(path, raw) if raw else ({}, [])


def _may_be_key(name: str, value: Any, hint: str) -> bool:
    """Whether a setting that is none may be meant to be the community's key."""
    if "communit" in name.lower() or "community.key" in hint:
        return True
    meant = [one for one in re.findall(r"[a-z_]+(?:\.[a-z_]+)?", hint.removeprefix("did you mean ")) if one != "or"]
    if hint.startswith("did you mean ") and all(one.partition(".")[0] == "community" for one in meant):
        return True
    return isinstance(value, str) and _KEY_LIKE.search(value) is not None


def _close(path: str, links: bool, console: bool, values: dict[str, Any], problems: list[ConfigError]) -> None:
    if links:
        values.update(_LINKS_OFF)
        problems.append(ConfigError("every link is off until the community key can be read", where=path))
    if console:
        values["console.pin"] = LOCKED
        problems.append(ConfigError("the console is locked until its PIN can be read", where=path,
                                    hint="mend console.pin in this file"))


def _line_of(place: str) -> tuple[int, int]:
    parts = place.rsplit(":", 2)
    return (int(parts[1]), int(parts[2])) if len(parts) == 3 else (0, 0)


def _flat(tables: dict[str, Any], head: str = "", depth: int = 1) -> list[tuple[str, Any]]:
    out: list[tuple[str, Any]] = []
    for name, value in tables.items():
        full = head + name
        if isinstance(value, dict) and value and full not in BY_NAME and depth < _DEPTH_MAX:
            out.extend(_flat(value, full + ".", depth + 1))
        elif value != {} or not any(key.name.startswith(full + ".") for key in KEYS):
            out.append((full, value))
    return out


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + (value if len(value) <= 40 else value[:37] + "...") + '"'
    if isinstance(value, int):
        return str(value) if abs(value) < 10**20 else "so large"
    if isinstance(value, list):
        return "this list"
    return f"a {type(value).__name__}"


def _is_bool(key: Key, value: Any) -> tuple[bool, Any]:
    return isinstance(value, bool), value


def _is_int(key: Key, value: Any) -> tuple[bool, Any]:
    return isinstance(value, int) and not isinstance(value, bool) and key.low <= value <= key.high, value


def _is_text(key: Key, value: Any) -> tuple[bool, Any]:
    if not isinstance(value, str) or not value.isprintable():
        return False, value
    return key.low <= len(value.encode()) <= key.high, value


def _is_https(key: Key, value: Any) -> tuple[bool, Any]:
    return _is_text(key, value)[0] and (value == "" or value.startswith("https://") and " " not in value), value


def _is_choice(key: Key, value: Any) -> tuple[bool, Any]:
    return value in key.choices, value


def _is_secret(key: Key, value: Any) -> tuple[bool, Any]:
    from binascii import Error, a2b_base64

    if value == "":
        return True, ""
    if not isinstance(value, str):
        return False, ""
    try:
        if len(value) == _HEX_KEY_CHARS:
            return True, bytes.fromhex(value).hex()
        raw = a2b_base64(value.replace("-", "+").replace("_", "/"), strict_mode=True)
        return len(raw) == 32, raw.hex()
    except (Error, ValueError):
        return False, ""


def _is_token(key: Key, value: Any) -> tuple[bool, Any]:
    good = isinstance(value, str) and value.isascii() and value.isprintable() and " " not in value
    return good and len(value) <= key.high, value


def _is_channel_key(key: Key, value: Any) -> tuple[bool, Any]:
    from binascii import Error, a2b_base64

    try:
        good = isinstance(value, str) and len(a2b_base64(value, strict_mode=True)) in (0, 1, 16, 32)
    except (Error, ValueError):
        good = False
    return good, value


def _is_position(key: Key, value: Any) -> tuple[bool, Any]:
    from edge.core import place

    try:
        return isinstance(value, str) and (value == "" or bool(place.degrees(value))), value
    except ValueError:
        return False, value


def _is_pin(key: Key, value: Any) -> tuple[bool, Any]:
    """Outer blanks are left out: they can't be typed. Nothing but blanks is no PIN, and not none either."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**key.high:
        return True, str(value)
    good, _ = _is_text(key, value)
    return (good and (value == "" or value.strip() != "")), value.strip() if good else value


def _is_country(key: Key, value: Any) -> tuple[bool, Any]:
    good = isinstance(value, str) and (value == "" or (len(value) == 2 and value.isascii() and value.isalpha()))
    return good, value.upper() if good else value


def _is_password(key: Key, value: Any) -> tuple[bool, Any]:
    plain = isinstance(value, str) and value.isascii() and value.isprintable()
    return plain and (value == "" or 8 <= len(value) <= 63), value


def _is_texts(key: Key, value: Any) -> tuple[bool, Any]:
    return isinstance(value, list) and all(isinstance(one, str) and 0 < len(one) <= 64 for one in value), value


def _is_addresses(key: Key, value: Any) -> tuple[bool, Any]:
    return isinstance(value, list) and all(isinstance(one, str) and split_address(one, 1) for one in value), value


def _is_hosts(key: Key, value: Any) -> tuple[bool, Any]:
    return isinstance(value, list) and all(isinstance(one, str) and _is_host(one) for one in value), value


def _is_host(text: str) -> bool:
    """A name that is no address in figures: one of these would be no look-up."""
    parts = text.lower().rstrip(".").split(".")
    good = all(0 < len(one) <= 63 and one.isascii() and one.replace("-", "").isalnum() for one in parts)
    return good and len(text) <= 200 and not parts[-1][:1].isdigit()


def _is_policy(key: Key, value: Any) -> tuple[bool, Any]:
    from edge.core import policy

    if not (isinstance(value, list) and all(isinstance(one, str) for one in value)):
        return False, ""
    try:
        policy.override(policy.ROWS[policy.THEMES.index(key.name.rpartition(".")[2])], value)
    except ValueError as error:
        return False, str(error)
    return True, value


def _is_keys(key: Key, value: Any) -> tuple[bool, Any]:
    good = isinstance(value, list) and all(isinstance(one, str) and _is_hex_key(one) for one in value)
    return good, [one.lower() for one in value] if good else value


def _is_hex_key(text: str) -> bool:
    return len(text) == _HEX_KEY_CHARS and all(one in "0123456789abcdef" for one in text.lower())


_CHECKS = {
    "bool": _is_bool, "int": _is_int, "text": _is_text, "https": _is_https, "choice": _is_choice, "secret": _is_secret,
    "channel_key": _is_channel_key, "password": _is_password, "token": _is_token,
    "texts": _is_texts, "addresses": _is_addresses, "keys": _is_keys, "hosts": _is_hosts, "policy": _is_policy,
    "position": _is_position, "pin": _is_pin, "country": _is_country,
}
