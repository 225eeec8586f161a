"""`waypost console`: the node's console, in this terminal, on a serial line here, or at the far end of a cable.

It is a small process of its own: it answers when the node, its database or the network is dead. Every command runs in a
child that it can end, so no command can hold it up. What commands do is in their modules; what keys do is in
edge/console. docs/CONSOLE.md says who may use it.
"""

from __future__ import annotations

import errno
import gc
import importlib
import io
import json
import os
import select
import signal
import sys
import time

from edge.console.screen import ROWS
from edge.console.session import LEAVE, RUN, Session
from edge.console.words import JSON
from edge.errors import WaypostError
from tools import cli_args
from tools.console_line import SPEEDS, Line
from tools.console_verbs import Completer, verbs

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from edge.console.session import Wish

ENDED = 130  # the exit code of a command that a person has ended
END_S = 2  # a command that was asked to end has so long
REAP_S = 1  # a child whose output has ended is gone within so long, or is not waited for
AGAIN_S = 3  # before a device that is not there is looked for once more
_READ_BYTES = 4096


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `waypost console`."""
    parser.add_argument("device", metavar="DEVICE", nargs="?", default=None,
                        help="talk to the console of a box at the other end of this serial port")
    parser.add_argument("--serve", metavar="DEVICE", default=None, help="offer this node's console on a serial port")
    parser.add_argument("--baud", type=int, choices=SPEEDS, default=SPEEDS[0],
                        help=f"speed of the serial port (default {SPEEDS[0]})")
    parser.add_argument("--plain", action="store_true", help="never wait for a key in the middle of long output")


def run(args: argparse.Namespace) -> int:
    """waypost console"""
    if args.device is not None:
        from tools.console_cable import connect

        return connect(args.device, args.baud)
    rows = 0 if args.plain else ROWS
    if args.serve is None:
        return _here(args.dir, rows)
    while True:
        try:
            line = Line.serial(args.serve, args.baud)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENXIO, errno.ENODEV, errno.EIO):
                raise
            time.sleep(AGAIN_S)  # a gadget port is there only while a computer is
            continue
        try:
            Console(args.dir, line, rows).serve()
        finally:
            line.close()
        time.sleep(AGAIN_S)


def _here(directory: str, rows: int) -> int:
    if not sys.stdin.isatty():
        raise WaypostError("standard input is no terminal", where="waypost console",
                           hint="commands for programs: waypost COMMAND --json")
    line = Line.terminal()
    try:
        Console(directory, line, rows).serve()
    finally:
        line.close()
    return 0


class Console:
    """One terminal and the person at it."""

    def __init__(self, directory: str, line: Line, rows: int) -> None:
        self._directory = directory
        self._line = line
        offered = verbs()
        for verb in offered:
            _load(verb.words[0])
        gc.freeze()  # children share what is loaded
        name, pin = _name_and_pin(directory)
        self._session = Session(name, offered, Completer(offered), lambda: int(time.monotonic()), pin, rows,
                                leaves=line.local)
        self._child = 0
        self._left: list[int] = []  # children that did not end when they were told to
        self._pipe = -1
        self._end_s = 0.0
        self._open = True

    def serve(self) -> None:
        """Until the line is gone, or, in a terminal, the person."""
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        self._write(self._session.greet())
        try:
            while self._open:
                self._step()
        finally:
            self._end_child(signal.SIGKILL)
            self._reap()

    def _step(self) -> None:
        wanted = [self._line.fd]
        if self._pipe >= 0 and not self._session.full:
            wanted.append(self._pipe)
        ready, _, _ = select.select(wanted, [], [], END_S if self._end_s else self._line.patience_s)
        if self._line.fd in ready:
            data = self._line.read()
            if data is None:
                self._open = False
                return
            if data == b"\x04" and self._line.local and not self._child:
                self._open = False
                return
            out, wishes = self._session.keys(data)
            self._write(out)
            self._carry_out(wishes)
        elif not ready:
            self._line.quiet()
        if self._pipe in ready:
            self._from_child()
        if self._end_s and time.monotonic() > self._end_s:
            self._end_child(signal.SIGKILL)
            # it may not even be possible to end it: a dead card holds it in the kernel
            self._over(ENDED, "the command did not end by itself and was ended")

    def _carry_out(self, wishes: list[Wish]) -> None:
        for kind, words in wishes:
            if kind == RUN:
                self._start(words)
            elif kind == LEAVE:
                self._open = self._open and not self._line.local
            elif self._child:
                self._end_child(signal.SIGINT)
                self._end_s = time.monotonic() + END_S

    # --- commands

    def _start(self, words: list[str]) -> None:
        self._left = [one for one in self._left if not _gone(one)]
        reading, writing = os.pipe()
        try:
            child = os.fork()
        except OSError as error:
            os.close(reading)
            os.close(writing)
            self._carry_on(*self._session.ended(1, f"no room for another process: {error.strerror}"))
            return
        if not child:
            _become(self._directory, words, writing)
        os.close(writing)
        self._child, self._pipe, self._end_s = child, reading, 0.0

    def _from_child(self) -> None:
        data = os.read(self._pipe, _READ_BYTES)
        if data:
            self._write(self._session.output(data))
            return
        self._over(None, "")

    def _reap(self) -> int:
        """The child's exit code. Its output ends a moment before it does, so it is waited for, but never for long."""
        child, self._child = self._child, 0
        if not child:
            return ENDED
        fd = os.pidfd_open(child)
        try:
            select.select([fd], [], [], REAP_S)
        finally:
            os.close(fd)
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        self._left.append(child)
        return ENDED

    def _over(self, code: int | None, said: str) -> None:
        """The command is over. code: how it is taken to have ended; None: as it did."""
        found = self._reap()
        os.close(self._pipe)
        self._pipe, self._end_s = -1, 0.0
        self._carry_on(*self._session.ended(found if code is None else code, said))

    def _carry_on(self, out: bytes, wishes: list[Wish]) -> None:
        self._write(out)
        self._carry_out(wishes)

    def _end_child(self, number: int) -> None:
        if self._child:
            try:
                os.killpg(self._child, number)
            except ProcessLookupError:
                pass

    def _write(self, data: bytes) -> None:
        if data and not self._line.write(data):
            self._open = False


def _become(directory: str, words: list[str], writing: int) -> None:
    """The child: run one command line, its output into the pipe. Never returns."""
    code = 1
    try:
        os.setpgid(0, 0)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        nothing = os.open(os.devnull, os.O_RDONLY)
        quiet = os.open(os.devnull, os.O_WRONLY)
        as_json = JSON in words  # then an error is in the one document; its words on standard error are too many
        for fd, place in ((nothing, 0), (writing, 1), (quiet if as_json else writing, 2)):
            os.dup2(fd, place)
        os.closerange(3, 256)
        os.environ |= {"COLUMNS": "80", "LINES": str(ROWS), "TERM": "dumb"}
        sys.stdin = io.TextIOWrapper(io.FileIO(0, "r"), encoding="utf-8")
        sys.stdout = sys.stderr = io.TextIOWrapper(io.FileIO(1, "w"), encoding="utf-8", errors="replace")
        if as_json:
            sys.stderr = io.TextIOWrapper(io.FileIO(2, "w"), encoding="utf-8", errors="replace")
        from tools.cli import main

        code = main(["--dir", directory, *words])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException as fault:
        if JSON in words:
            print(json.dumps({"error": {"code": "internal", "message": f"{fault!r}; please report it"}}))
        else:
            print(f"waypost: {fault!r}; please report it", file=sys.stderr)
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)


def _gone(child: int) -> bool:
    """Whether a child is no more; it is reaped where it has ended."""
    try:
        return os.waitpid(child, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return True


def _load(command: str) -> None:
    """Import what a command needs now, while the card can still be read."""
    entry = next(row[1] for row in cli_args._COMMANDS if row[0] == command)
    try:
        importlib.import_module(entry.partition(":")[0])
    except ImportError:
        pass  # the command will say what is missing


def _name_and_pin(directory: str) -> tuple[str, str]:
    """The node's name and the console's PIN, by its settings; a directory that can't be read has neither.

    Where a PIN is meant that can't be made out, nobody gets in, and the name says why.
    """
    from edge import config

    name, pin = os.uname().nodename, config.LOCKED
    try:
        settings, _ = config.load(directory, [])
        name, pin = settings["node.name"] or name, settings["console.pin"]
    except (WaypostError, OSError):
        return name, ""
    except Exception as fault:  # a fault of ours in reading them: the console has to start, but never without its PIN
        print(f"waypost: the settings can't be read: {fault!r}; please report it", file=sys.stderr)
    if pin == config.LOCKED:
        name += " is locked: console.pin in waypost.toml is not right, mend it on the card"
    return name, pin
