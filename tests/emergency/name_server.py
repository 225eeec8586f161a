"""A name server for tests: `python -m tests.emergency.name_server ADDRESS PORT [MODE]`, or NameServer in a loop.

Modes: "answers" (no such name, and 192.0.2.9 for names that begin with "host"), "servfail", "refused", "silent".
"""

from __future__ import annotations

import asyncio
import sys

RCODES = {"answers": 3, "servfail": 2, "refused": 5}
HOST = "192.0.2.9"


class NameServer(asyncio.DatagramProtocol):
    def __init__(self, mode: str = "answers", host: str = HOST) -> None:
        self.mode = mode
        self.host = host
        self.asked: list[str] = []
        self.port = 0
        self._transport: asyncio.DatagramTransport | None = None

    async def start(self, address: str = "127.0.0.1", port: int = 0) -> NameServer:
        self._transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: self, local_addr=(address, port))
        self.port = self._transport.get_extra_info("sockname")[1]
        return self

    def stop(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
        name = name_of(data)
        self.asked.append(name)
        if self.mode != "silent" and self._transport is not None:
            self._transport.sendto(self.answer(data, name), addr)

    def answer(self, data: bytes, name: str) -> bytes:
        if self.mode == "answers" and name.startswith("host"):
            address = bytes(map(int, self.host.split(".")))
            row = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + address
            return data[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + data[12:] + row
        return data[:2] + b"\x81" + bytes((0x80 | RCODES[self.mode],)) + b"\0\1\0\0\0\0\0\0" + data[12:]


def name_of(data: bytes) -> str:
    labels, at = [], 12
    while data[at]:
        labels.append(data[at + 1:at + 1 + data[at]].decode())
        at += 1 + data[at]
    return ".".join(labels)


async def main(address: str, port: int, mode: str) -> None:
    await NameServer(mode).start(address, port)
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), (sys.argv[3:] or ["answers"])[0]))
