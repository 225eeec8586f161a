"""A REYAX RYLR998 or RYLR896 on a pty: its AT commands by the same table as the driver, on an emulated air.

It answers one command at a time and loses what is typed before it has answered; AT+SEND during a transmission is
+ERR=17; settings out of range are +ERR=4, a wrong length is +ERR=5, a preamble that the network doesn't allow +ERR=18.
+OK comes before the transmission or, with ok_after, after it. The frequency is forgotten at a restart.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from radios.lora import airtime
from radios.lora.rylr import codec
from tests.radios.lora.emulated.air import Air, Timer, Tuning
from tests.radios.lora.emulated.plug import Plug

_HEAD_BYTES = codec.OVERHEAD_BYTES


class RylrDevice:
    """air: where it is. name: its station and USB serial number."""

    def __init__(self, air: Air, name: str, folder: Path, *, model: str = "rylr998", ok_after: bool = False,
                 reply_us: int = 2000, boot_us: int = 300000) -> None:
        self.plug = Plug(folder, name, self._bytes)
        self.model = codec.MODELS[model]
        self.ok_after = ok_after
        self.reply_us = reply_us
        self.boot_us = boot_us
        self.overrun = 0  # bytes that came before the last command was answered
        self.commands: list[bytes] = []
        self.errors: list[int] = []  # given instead of what would be said to the next AT+SENDs
        network, parameter = ("18", "9,7,1,12") if model == "rylr998" else ("0", "12,7,1,7")
        self.flash = {"ADDRESS": "0", "NETWORKID": network, "CRFOP": str(self.model.powers[-1]), "MODE": "0",
                      "PARAMETER": parameter, "IPR": "115200"}
        self._air = air
        self._name = name
        self._station = air.join(name, self._hear)
        self._timers: list[Timer] = []
        self._unfinished: Timer | None = None
        self._start()

    def _start(self) -> None:
        self.settings = dict(self.flash, BAND="915000000")
        self._typed = bytearray()
        self._silent = False  # starting, or a command is being answered
        self._tune()

    # --- faults

    def reboot(self) -> None:
        """It restarts by itself."""
        for timer in self._timers:
            timer.cancel()
        self._station.leave()
        self._station = self._air.join(self._name, self._hear)
        self._start()
        self._silent = True
        self._timers = [self._air.call_later(self.boot_us, self._ready)]

    def close(self) -> None:
        """Off the air and unplugged."""
        for timer in self._timers:
            timer.cancel()
        self._station.leave()
        self.plug.pull()

    def _ready(self) -> None:
        self._silent = False
        self.plug.write(b"+READY\r\n")

    # --- from the host

    def _bytes(self, data: bytes) -> None:
        if self._silent:
            self.overrun += len(data)
            return
        self._typed += data
        if self._unfinished is not None:
            self._unfinished.cancel()
            self._unfinished = None
        end = self._typed.find(b"\r\n")
        if end < 0:
            self._unfinished = self._later(200000, lambda: self._answer(b"+ERR=1"))
            return
        line = bytes(self._typed[:end])
        self.overrun += len(self._typed) - end - 2
        self._typed.clear()
        self.commands.append(line)
        self._silent = True
        self._later(self.reply_us, lambda: self._obey(line))

    def _answer(self, line: bytes) -> None:
        self._typed.clear()
        self._silent = False
        self.plug.write(line + b"\r\n")

    def _obey(self, line: bytes) -> None:
        if line == b"AT":
            self._answer(b"+OK")
            return
        if not line.startswith(b"AT+"):
            self._answer(b"+ERR=2")
            return
        text = line[3:].decode("latin-1")
        name, equals, argument = text.partition("=")
        if text.startswith("SEND="):
            self._send(argument)
        elif text == "RESET":
            self._answer(b"+RESET")
            self.reboot()
        elif name.endswith("?") and not equals:
            known = dict(self.settings, VER="RYLR998_REYAX_V1.2.2", UID="164738323135383200100025")
            value = known.get(name[:-1])
            self._answer(b"+ERR=4" if value is None else f"+{name[:-1]}={value}".encode())
        elif equals and name in self.settings:
            self._set(name, argument)
        else:
            self._answer(b"+ERR=4")

    def _set(self, name: str, argument: str) -> None:
        error = self._fault(name, argument)
        if error:
            self._answer(b"+ERR=%d" % error)
            return
        if name == "BAND" and argument.endswith(",M"):
            argument = argument[:-2]
        self.settings[name] = argument
        if name != "BAND":
            self.flash[name] = argument
        self._tune()
        self._answer(b"+OK")

    def _fault(self, name: str, argument: str) -> int:
        parts = argument.split(",")
        if not all(part.isdigit() for part in parts if part != "M"):
            return codec.ERR_UNKNOWN
        first = int(parts[0])
        if name == "PARAMETER":
            return self._parameter_fault([int(part) for part in parts])
        if name == "MODE" and first == 2:
            ok = len(parts) == 3 and all(30 <= int(part) <= 60000 for part in parts[1:])
            return 0 if ok else codec.ERR_POWER_SAVE
        allowed = {"ADDRESS": range(65536), "NETWORKID": self.model.networks, "CRFOP": self.model.powers,
                   "BAND": range(100000000, 1020000001), "MODE": range(3), "IPR": (9600, 115200)}[name]
        return 0 if first in allowed else codec.ERR_UNKNOWN

    def _parameter_fault(self, parts: list[int]) -> int:
        if len(parts) != 4 or not 1 <= parts[2] <= 4 or parts[1] not in self.model.bandwidths:
            return codec.ERR_UNKNOWN
        if not self.model.sf_min <= parts[0] <= self.model.bandwidths[parts[1]]:
            return codec.ERR_UNKNOWN
        bound = self.model.network_any_preamble not in (None, int(self.settings["NETWORKID"]))
        if parts[3] not in self.model.preambles or (bound and parts[3] != self.model.preamble_else):
            return codec.ERR_PREAMBLE
        return 0

    # --- the radio

    def _tune(self) -> None:
        sf, bandwidth, cr, preamble = (int(part) for part in self.settings["PARAMETER"].split(","))
        self._phy = (sf, codec.BANDWIDTHS_HZ[bandwidth], cr + 4, preamble)
        self._station.tune(Tuning(int(self.settings["BAND"]), self._phy[1], sf, int(self.settings["NETWORKID"])))

    def _send(self, argument: str) -> None:
        parts = argument.split(",", 2)
        if len(parts) != 3 or not (parts[0].isdigit() and parts[1].isdigit()) or int(parts[0]) > 65535:
            self._answer(b"+ERR=4")
            return
        data = parts[2].encode("latin-1")
        if int(parts[1]) > codec.ASCII_BYTES_MAX:
            self._answer(b"+ERR=13")
        elif int(parts[1]) != len(data):
            self._answer(b"+ERR=5")
        elif self._station.transmitting:
            self._answer(b"+ERR=17")
        elif self.errors:
            self._answer(b"+ERR=%d" % self.errors.pop(0))
        else:
            head = int(parts[0]).to_bytes(2, "big") + int(self.settings["ADDRESS"]).to_bytes(2, "big")
            packet = head + bytes(_HEAD_BYTES - len(head)) + data
            us = airtime.time_on_air_us(*self._phy, len(packet))
            self._station.transmit(packet, us, self._sent)
            if not self.ok_after:
                self._answer(b"+OK")

    def _sent(self) -> None:
        if self.ok_after:
            self._answer(b"+OK")

    def _hear(self, packet: bytes, rssi_dbm: int, snr_qdb: int) -> None:
        to, sender = int.from_bytes(packet[:2], "big"), int.from_bytes(packet[2:4], "big")
        if to in (0, int(self.settings["ADDRESS"])) and not (self._silent and self._station.transmitting):
            data = packet[_HEAD_BYTES:]
            self.plug.write(b"+RCV=%d,%d,%b,%d,%d\r\n" % (sender, len(data), data, rssi_dbm, snr_qdb // 4))

    def _later(self, us: int, call: Callable[[], None]) -> Timer:
        self._timers = [timer for timer in self._timers if timer.call is not None and timer.at_us >= self._air.now_us()]
        timer = self._air.call_later(us, call)
        self._timers.append(timer)
        return timer
