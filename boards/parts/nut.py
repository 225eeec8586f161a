"""A UPS that Network UPS Tools knows: asked of upsd by its text protocol (RFC 9271), TCP port 3493.

One connection for each reading, no name and no password: reading is free to all. Reads on_mains, battery_percent,
battery_s (how long it will last) and is_low, as far as the UPS tells them. What upsd refuses is an OSError.
"""

from __future__ import annotations

import asyncio

PORT = 3493
ALLOWED = '"UPS@HOST" or "UPS@HOST:PORT", such as "ups@localhost"'
ANSWER_S = 5
_LINE_BYTES_MAX = 1024
_ERRORS = {
    "UNKNOWN-UPS": "upsd knows no UPS of that name", "DRIVER-NOT-CONNECTED": "the driver of the UPS does not run",
    "DATA-STALE": "the UPS has not answered its driver for a while", "ACCESS-DENIED": "upsd lets nobody from here ask",
}


class Nut:
    """The UPS called `ups` at the upsd of a host."""

    def __init__(self, ups: str, host: str, port: int = PORT) -> None:
        self._ups = ups
        self._host = host
        self._port = port

    async def read(self) -> dict[str, int]:
        """Raises OSError."""
        try:
            async with asyncio.timeout(ANSWER_S):
                reader, writer = await asyncio.open_connection(self._host, self._port, limit=_LINE_BYTES_MAX)
                try:
                    status = await self._ask(reader, writer, "ups.status")
                    charge = await self._ask(reader, writer, "battery.charge")
                    runtime = await self._ask(reader, writer, "battery.runtime")
                finally:
                    writer.close()
                    await _closed(writer)
        except TimeoutError:
            raise OSError(f"upsd at {self._host} does not answer") from None
        words = (status or "").split()
        out: dict[str, int] = {}
        if "OL" in words or "OB" in words:
            out["on_mains"] = int("OB" not in words)
        if words:
            out["is_low"] = int("LB" in words)
        for name, said in (("battery_percent", charge), ("battery_s", runtime)):
            whole = (said or "").partition(".")[0]
            if whole.isascii() and whole.isdigit():
                out[name] = min(int(whole), 100 if name == "battery_percent" else 1 << 31)
        return out

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str) -> str | None:
        """The value of a variable; None where the UPS has none. Raises OSError."""
        writer.write(f"GET VAR {self._ups} {name}\n".encode())
        await writer.drain()
        try:
            line = (await reader.readuntil(b"\n")).decode("utf-8", "replace").strip()
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            raise OSError(f"upsd at {self._host} speaks another language") from None
        head = f"VAR {self._ups} {name} "
        if line.startswith(head):
            return line[len(head):].strip('"')
        words = line.split()
        if words[:1] == ["ERR"] and len(words) > 1:
            if words[1] == "VAR-NOT-SUPPORTED":
                return None
            raise OSError(_ERRORS.get(words[1], f"upsd says {words[1][:40]}"))
        raise OSError(f"upsd at {self._host} speaks another language")


async def _closed(writer: asyncio.StreamWriter) -> None:
    try:
        await writer.wait_closed()
    except OSError:
        pass


def parse(text: str) -> tuple[str, str, int]:
    """(UPS, host, port) of what sensors.nut says. Raises ValueError."""
    ups, at, place = text.strip().rpartition("@")
    if place.startswith("["):
        host, _, rest = place[1:].partition("]")
        port = rest.removeprefix(":")
    else:
        host, _, port = place.partition(":")
    if not at or not ups or not host or not all(one.isalnum() or one in "._-" for one in ups):
        raise ValueError(f"{text!r} is no UPS of upsd")
    if port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"{port!r} is no port")
    return ups, host, int(port or PORT)
