"""What a LoRa link costs a node that has nothing to do: its memory beside that of the same node without one.

The radio is an RNode that only answers: a pty that says what a real one would, and never sends. What is measured is the
node.
"""

from __future__ import annotations

import os
import threading
import time
import tty

from radios.lora.rnode import codec
from tools.bench.figures import Figure, NotHere, median
from tools.bench.process import QUIET, RealNode

ROUNDS = 3
UP_S = 20
SETTLE_S = 5.0
LINK = ("lora.enabled=true", "lora.modem=rnode", "lora.region=EU868", "lora.freq_hz=869525000", "lora.bw_hz=250000",
        "lora.sf=8", "lora.cr_den=5", "lora.power_dbm=14")
_FIXED = {codec.DETECT: bytes((codec.DETECT_ANSWER,)), codec.VERSION: b"\x01\x56", codec.RADIO_STATE: b"\x01",
          codec.READY: b"\x01"}
_ECHOED = (codec.FREQUENCY, codec.BANDWIDTH, codec.TX_POWER, codec.SPREADING, codec.CODING, codec.PROMISCUOUS,
           codec.LONG_LIMIT)


def lora() -> list[Figure]:
    """The median of some pairs of nodes, one with a LoRa link and one without."""
    more = []
    for _ in range(ROUNDS):
        with RealNode(*QUIET) as node:
            time.sleep(SETTLE_S)
            without_kib = node.rss_kib()
        with _Answering() as device, RealNode(*QUIET, *LINK, f"lora.device={device.path}") as node:
            _until_up(node)
            time.sleep(SETTLE_S)
            more.append((node.rss_kib() - without_kib) * 1.024 / 1000)
    spread = f"{min(more):.2f} to {max(more):.2f} in {ROUNDS} rounds"
    return [Figure("memory of an idle LoRa link", median(more), "MB VmRSS more", 1.5, note=spread)]


def _until_up(node: RealNode) -> None:
    from tools.client import Client

    end_s = time.monotonic() + UP_S
    while time.monotonic() < end_s:
        with Client(node.directory) as client:
            if client.call("node.status@1")["links"]["lora"]["state"] == "up":
                return
        time.sleep(0.2)
    raise NotHere("the LoRa link did not come up")


class _Answering:
    """An RNode at `path` that answers and never sends. Use it with `with`."""

    def __enter__(self) -> _Answering:
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)
        self._stop, self._stopped = os.pipe()
        self._thread = threading.Thread(target=self._answer)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        os.write(self._stopped, b"x")
        self._thread.join()
        for fd in (self._master, self._slave, self._stop, self._stopped):
            os.close(fd)

    def _answer(self) -> None:
        import select

        decoder = codec.Decoder()
        while self._stop not in (ready := select.select([self._master, self._stop], [], [])[0]) and ready:
            for command, data in decoder.feed(os.read(self._master, 4096)):
                answer = data if command in _ECHOED else _FIXED.get(command)
                if answer is not None:
                    os.write(self._master, codec.encode(command, answer))
