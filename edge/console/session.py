"""A person at the console: prompt, commands, questions before what hurts, and output by the screen.

    locked -> prompt -> [question] -> running -> prompt          (locked only where a PIN is set)

It is handed bytes from the terminal and from the command that runs, and answers with bytes for the terminal and with
wishes for whoever starts and ends commands. It reads no device, starts no process and knows no clock but `now_s`.
"""

from __future__ import annotations

import json

from edge.console.line import END, INTERRUPT, LINE, LineEditor
from edge.console.screen import ROWS, Pager, fold, to_ascii
from edge.console.words import JSON, Verb, arrange, split

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

RUN, STOP, LEAVE = "run", "stop", "leave"  # wishes: (RUN, words), (STOP, []), (LEAVE, [])
NO_NODE = (3, 4)  # exit codes of a command whose node isn't there or doesn't answer
HELP, LEAVING = ("help", "?"), ("exit", "quit", "logout")
LOCK_IDLE_S = 600
PIN_TRIES = 3
PIN_WAIT_S = 30
WAITING_LINES_MAX = 500  # of output; a command that has more waits for the reader
_LINE_BYTES_MAX = 65536

Wish = tuple[str, list[str]]


class Session:
    """name: of the node, shown when somebody comes. complete(text): words that may stand at its end. pin: "": none.

    leaves: whether the person can leave it (a terminal), or only pull the cable.
    """

    def __init__(self, name: str, verbs: Iterable[Verb], complete: Callable[[str], list[str]], now_s: Callable[[], int],
                 pin: str = "", rows: int = ROWS, leaves: bool = False) -> None:
        self._verbs = {verb.name: verb for verb in verbs}
        self._name = name
        self._now_s = now_s
        self._pin = pin
        self._rows = rows
        self._leaves = leaves
        self._editor = LineEditor("waypost> ", complete)
        self._pager = Pager(rows)
        self._part = b""  # of a line of output
        self._running: list[str] = []
        self._as_json = False
        self._over: int | None = None  # the exit code of a command whose output is not all shown
        self._asking: list[str] = []  # words of a command that waits for a "yes"
        self._answer: list[str] = []
        self._enough = False  # the reader wants no more of this command's output
        self._locked = False
        self._tries = 0
        self._closed_until_s = 0
        self._used_s = now_s()
        if pin:
            self._lock()

    @property
    def full(self) -> bool:
        """Whether the command should wait with more output."""
        return len(self._pager.waiting) >= WAITING_LINES_MAX

    def greet(self) -> bytes:
        """For a terminal where nobody may be yet."""
        if self._locked:
            return self._lock()
        return self._lines("", f"Waypost {self._name}; help lists the commands") + self._editor.start()

    def _lock(self) -> bytes:
        self._locked = self._editor.secret = True
        self._editor.prompt = "PIN: "
        self._editor.start()
        return self._lines("", f"Waypost {self._name}: press Enter")

    # --- from the terminal

    def keys(self, data: bytes) -> tuple[bytes, list[Wish]]:
        """Bytes that somebody typed, or that the line made up."""
        now_s = self._now_s()
        out = b""
        if self._pin and not self._locked and now_s - self._used_s > LOCK_IDLE_S and not self._running:
            out = self._lock()
        self._used_s = now_s
        if self._pager.asking:
            out += self._pager.key(data)
            if data[:1] not in (b"q", b"Q", b"\x03") or self._over is not None:
                return self._shown(out)
            self._enough = True
            return out, [(STOP, [])]
        if self._running:
            if b"\x03" in data or data in (b"q", b"Q"):
                return out + b"^C\r\n", [(STOP, [])]
            return out, []
        events, echo = self._editor.feed(data)
        out += echo
        wishes: list[Wish] = []
        for kind, text in events:
            if wishes:
                break  # what was typed behind a command is not its answer
            more, wishes = self._event(kind, text)
            out += more
        return out, wishes

    def _event(self, kind: str, text: str) -> tuple[bytes, list[Wish]]:
        if self._locked:
            return self._unlock(kind, text), []
        if kind == INTERRUPT:
            self._asking = []
            self._editor.prompt = "waypost> "
            return self._editor.start(), []
        if kind == END:
            return self._leave()
        if self._asking:
            return self._confirm(text)
        return self._command(text)

    def _unlock(self, kind: str, text: str) -> bytes:
        left_s = self._closed_until_s - self._now_s()
        if left_s > 0:
            return self._lines(f"wrong PIN; wait {left_s} s")
        if kind != LINE or not text:
            return self._editor.start()
        if text != self._pin:
            self._tries += 1
            if self._tries % PIN_TRIES == 0:
                self._closed_until_s = self._now_s() + PIN_WAIT_S
                return self._lines(f"wrong PIN; wait {PIN_WAIT_S} s")
            return self._lines("wrong PIN") + self._editor.start()
        self._tries = 0
        self._locked = self._editor.secret = False
        self._editor.prompt = "waypost> "
        return self._lines("help lists the commands") + self._editor.start()

    def _command(self, text: str) -> tuple[bytes, list[Wish]]:
        text = text.removeprefix("waypost ").lstrip() if text != "waypost" else "help"  # as hints write it
        if not text:
            return self._editor.start(), []
        name, _, behind = text.partition(" ")
        if name in HELP:
            return self._help(behind.split())
        if name in LEAVING:
            return self._leave()
        verb = self._verb(name)
        if verb is None:
            return self._wrong(text, f'no such command: "{name}"', self._close(name))
        try:
            typed = split(behind, verb.rest)
        except ValueError as error:
            return self._wrong(text, f"{name}: {error}", "put a text between two quotes of one kind")
        words, question = arrange(verb, typed)
        if not question:
            return self._run(words)
        if JSON in words:
            return self._wrong(text, f"{name} is asked for first", "add --yes where nobody can answer")
        self._asking = words
        by_name = "NAME" in question and to_ascii(self._name).split()
        self._answer = by_name or ["yes"]
        self._editor.prompt = "? "
        asked = question.replace("NAME", f'"{self._name}"' if by_name else "yes")
        return self._lines(*asked.split("\n")) + self._editor.start(), []

    def _verb(self, name: str) -> Verb | None:
        """By its name here, or by that of the command line, which hints use."""
        return self._verbs.get(name) or next((one for one in self._verbs.values() if one.words == [name]), None)

    def _close(self, name: str) -> str:
        close = [one for one in self._verbs if one.startswith(name[:2])]
        return (f"did you mean {' or '.join(close)}? " if close else "") + "help lists them"

    def _wrong(self, text: str, said: str, hint: str) -> tuple[bytes, list[Wish]]:
        """What can't be run: in words, or as the command line says it with --json."""
        if JSON in text.split():
            return self._json({"error": {"code": "usage", "message": said, "hint": hint}}) + self._editor.start(), []
        return self._lines(f"{said}; {hint}") + self._editor.start(), []

    def _leave(self) -> tuple[bytes, list[Wish]]:
        if self._pin:
            return self._lock(), [(LEAVE, [])]
        out = b"" if self._leaves else self._lines("This console is always here: to leave, pull the cable.")
        return out + self._editor.start(), [(LEAVE, [])]

    def _confirm(self, text: str) -> tuple[bytes, list[Wish]]:
        words, self._asking = self._asking, []
        self._editor.prompt = "waypost> "
        if to_ascii(text).split() != self._answer:  # what the screen shows is what can be typed
            return self._lines("nothing was done") + self._editor.start(), []
        return self._run(words)

    def _run(self, words: list[str]) -> tuple[bytes, list[Wish]]:
        self._running, self._enough = words, False
        self._as_json = JSON in words
        self._pager = Pager(self._rows)
        return b"", [(RUN, words)]

    # --- from the command

    def output(self, data: bytes) -> bytes:
        """What the command printed."""
        lines = (self._part + data).split(b"\n")
        self._part = lines.pop()[-_LINE_BYTES_MAX:]
        return b"" if self._enough else b"".join(self._put(line) for line in lines)

    def ended(self, code: int, said: str = "") -> tuple[bytes, list[Wish]]:
        """The command is over. code: its exit code; negative for the signal that ended it. said: what the console
        has to say about that, "" where nothing was wrong."""
        out = b""
        if self._part:
            part, self._part = self._part, b""
            out += b"" if self._enough else self._put(part)
        if code < 0 and code != -2:
            said = f"the command was ended by signal {-code}; please report it"
        if said and self._as_json:
            out += self._json({"error": {"code": "internal", "message": said}})
        elif said and not self._enough:
            out += self._put(said.encode())
        self._over = code
        return self._shown(out)

    def _put(self, line: bytes) -> bytes:
        if self._as_json:  # for a program: as it is, and in one piece
            return line + b"\r\n"
        return self._pager.put(line.decode("utf-8", "replace").rstrip("\r"))

    def _shown(self, out: bytes) -> tuple[bytes, list[Wish]]:
        """The prompt, once all that a command said has been read; or what it takes to say why there was no node."""
        if self._pager.asking or self._over is None:
            return out, []
        code, words, self._over, self._running = self._over, self._running, None, []
        if code in NO_NODE and words[:1] != ["doctor"] and not self._as_json:
            more, wishes = self._run(["doctor", "--broken"])
            return out + more, wishes
        return out + self._editor.start(), []

    # --- words

    def _help(self, names: list[str]) -> tuple[bytes, list[Wish]]:
        """All commands, a screen at a time; or one."""
        name = next((one for one in names if one != JSON), "")
        verb = self._verb(name)
        if name and verb is None:
            return self._wrong(" ".join(names), f'no such command: "{name}"', self._close(name))
        shown = [verb] if verb else list(self._verbs.values())
        if JSON in names:
            return self._json([{"name": one.name, "about": one.about} for one in shown]) + self._editor.start(), []
        if verb is not None:
            out = self._lines(f"{verb.name}: {verb.about}", f'    "{verb.name} --help" tells its words')
            return out + self._editor.start(), []
        width = max(len(one.name) for one in shown)
        leave = "^D or exit leaves" if self._leaves else "^D or exit locks" if self._pin else "to leave, pull the cable"
        rows = [f"{one.name:<{width}}  {one.about}" for one in shown]
        self._run(["help"])
        out = b"".join(self._pager.put(row) for row in [
            *rows, "", "Tab completes, arrows bring back what was typed, ^C ends a command;",
            f"{leave}. help COMMAND and COMMAND --help tell more; --json is for programs."])
        self._over = 0
        return self._shown(out)

    def _json(self, value: object) -> bytes:
        return json.dumps(value, separators=(",", ":")).encode() + b"\r\n"

    def _lines(self, *lines: str) -> bytes:
        return b"".join(part.encode() + b"\r\n" for line in lines for part in fold(line))

