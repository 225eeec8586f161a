"""What people with radios can say to a node, and what it answers: help, board, post, inbox, send, read, status, ping,
ask, alerts, more, and safe and need help where check-ins are taken.

A radio's number proves nothing, so whoever speaks by radio may do what a visitor of the page may, and what is read here
is what everybody may read. An answer is a text; how it is cut and sent is for others. Faults of the node are said in
words, never as a traceback.
"""

from __future__ import annotations

import time

from edge.caller import LOCAL, MEMBER, Caller
from edge.core import limits
from edge.core import message as messages
from edge.errors import BusError
from edge.services.texts import mail
from edge.services.texts.alerts import text as alert_text
from edge.services.texts.parts import Answer, short

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    from edge.ports import BusPort, NodePort
    from edge.services.texts.mail import Mail, Mails
    from edge.services.texts.people import Heard, People, Person

MAIL_TTL_S = 14 * 86400
LIST_ROWS = 12
LINE_BYTES = 60  # three of them with their numbers fit one part, (more) behind them
SENT_SHOWN = 3
ASK_MS = 120000
CALL_MS = 10000
NOTE_BYTES = 120
CALLER = Caller(MEMBER, None, "text")
ALIASES = {"?": "help", "h": "help", "b": "board", "bbs": "board", "i": "inbox", "msg": "send", "test": "ping",
           "m": "more", "info": "status"}


class Commands:
    """The verbs. now_s(): Unix seconds by the node's clock."""

    def __init__(self, node: NodePort, bus: BusPort, mails: Mails, people: People, now_s: Callable[[], int],
                 posts: bool) -> None:
        self._node = node
        self._bus: Any = bus
        self._mails = mails
        self._people = people
        self._now_s = now_s
        self._shown: dict[bytes, list[str]] = {}  # radio -> the texts that its last list was of
        self._verbs: dict[str, Callable[[Heard, str], Awaitable[Answer]]] = {
            "help": self._help, "board": self._board, "inbox": self._inbox, "send": self._send, "read": self._read,
            "status": self._status, "ping": self._ping, "ask": self._ask, "safe": self._safe, "need": self._need,
            "alerts": self._alerts,
        }
        if posts:
            self._verbs["post"] = self._post

    def parse(self, text: str) -> tuple[str, str]:
        """(verb, the rest) of a text; the verb is "" where it begins with none, and may be `more`."""
        first, _, rest = text.strip().lstrip("?/!").strip().partition(" ")
        word = first.lower().rstrip("?!.:,") or "help"  # a question mark alone asks for help
        word = ALIASES.get(word, word)
        if word == "need" and not rest.lower().startswith("help"):
            word = ""
        return word if word in self._verbs or word == "more" else "", rest.strip()

    async def do(self, verb: str, rest: str, heard: Heard) -> Answer:
        """Obey one text, whose verb is none of "" and "more"."""
        try:
            return await self._verbs[verb](heard, rest)
        except BusError as error:
            return Answer(f"{verb}: {error.message}" + (f" ({error.hint})" if error.hint else ""), 1)

    # --- the verbs

    async def _help(self, heard: Heard, rest: str) -> Answer:
        name = short(self._node.name, 24)
        about = _ABOUT.get(ALIASES.get(rest.lower(), rest.lower()))
        if about is not None:
            return Answer(about, 1)
        verbs = ["board", "post TEXT", "inbox", "send WHO TEXT", "read N", "status", "ping", "ask QUESTION", "alerts",
                 "more"]
        if "post" not in self._verbs:
            verbs.remove("post TEXT")
        if self._bus.offered("checkin.post"):
            verbs += ["safe", "need help"]
        return Answer(f"{name}: {', '.join(verbs)}. help WORD tells more. Anybody can read what is said here.", 1)

    async def _board(self, heard: Heard, rest: str) -> Answer:
        params: dict[str, Any] = {"limit": LIST_ROWS}
        if rest:
            params["search"] = rest
        rows = await self._bus.call("board.list@1", params, caller=CALLER, deadline_ms=CALL_MS) or []
        if not rows:
            return Answer(f"No notice has the words {short(rest, 60)}." if rest else "The board is empty. post TEXT "
                          "puts a notice on it.", 1)
        texts = [f"{self._when(row['time_ms'])} {self._author(row)}: {row['text'] or ''}" for row in rows]
        return self._list(heard, texts)

    async def _post(self, heard: Heard, rest: str) -> Answer:
        if not rest:
            return Answer("post TEXT puts TEXT on the board, for everybody to read.", 1)
        name = _named(heard.person)
        await self._bus.call("board.post@1", {"text": rest, "name": name}, caller=CALLER, deadline_ms=CALL_MS)
        near = self._near()
        spread = f"{_count(near, 'node')} near" if near else "no other node is near now; it waits for one"
        return Answer(f"It is on the board: \"{short(rest, 80)}\" ({spread}).", 1)

    async def _inbox(self, heard: Heard, rest: str) -> Answer:
        found = self._mails.to(heard.person.radio, self._now_s())[:LIST_ROWS]
        if not found:
            return Answer("Nothing for you. What others send you comes by itself when your radio is heard.", 1)
        return self._list(heard, [f"{self._when(one.time_ms)} {self._from(one)}: {one.text}" for one in found])

    async def _send(self, heard: Heard, rest: str) -> Answer:
        found, text = self._people.find(rest)
        if not rest or (found and not text):
            return Answer("send WHO TEXT: WHO is a radio's name or its number, such as !9ea2f3c4. Anybody can read "
                          "it.", 1)
        if not found:
            return Answer(f"Nobody called {short(rest.partition(' ')[0], 40)} was heard here. Give the number of the "
                          "radio: send !9ea2f3c4 TEXT", 1)
        if len(found) > 1:
            return Answer("That can be " + " or ".join(_named(one) for one in found[:3])
                          + ": give the number.", 1)
        to, sender = found[0], heard.person
        now_s = self._now_s()
        if not self._mails.room(sender.radio, to.radio, now_s):
            return Answer(f"Too much waits for {short(to.called, 40)} already; it was not kept.", 1)
        if len(text.encode()) > mail.TEXT_BYTES_MAX:
            return Answer(f"That is too long: at most {mail.TEXT_BYTES_MAX} bytes.", 1)
        name = short(sender.called, mail.NAME_BYTES_MAX)
        await self._node.post(messages.MAIL, limits.LANE_DIRECT, MAIL_TTL_S, None,
                              mail.body_of(to.radio, sender.radio, name, text))
        return Answer(f"Kept for {_named(to)}: it is handed over when that radio is heard by any "
                      "node. Anybody can read it.", 1)

    async def _read(self, heard: Heard, rest: str) -> Answer:
        shown = self._shown.get(heard.person.radio, [])
        if not shown:
            return Answer("First say board or inbox; read N then gives the whole of number N.", 1)
        if not (rest.isascii() and rest.isdigit() and 1 <= int(rest) <= len(shown)):
            return Answer(f"read N: N is 1 to {len(shown)}.", 1)
        return Answer(shown[int(rest) - 1])

    async def _status(self, heard: Heard, rest: str) -> Answer:
        facts = self._node.status()
        now_s = self._now_s()
        link = facts.get("links", {}).get(heard.way[0], {})
        lanes = dict(map(tuple, facts["messages"]))
        out = [f"{short(facts['name'], 30)}: up {_span(facts['up_s'])}, {_count(self._near(), 'node')} near, "
               f"{_count(lanes.get(limits.LANE_COMMUNITY, 0), 'notice')}, "
               f"{len(self._mails.waiting(heard.person.radio, now_s))} waiting for you."]
        if link.get("airtime.limit_ms"):
            out.append(f"Air {link['airtime.used_ms'] // 1000} of {link['airtime.limit_ms'] // 1000} s this hour.")
        if "utilisation_percent" in link:
            out.append(f"Channel {link['utilisation_percent']} % busy.")
        for one in self._mails.by(heard.person.radio)[:SENT_SHOWN]:
            fate = f"delivered {self._when(one.delivered_ms)}" if one.delivered_ms else "waits"
            out.append(f"To {short(self._people.get(one.to).called, 24)} {self._when(one.time_ms)}: {fate}.")
        return Answer(" ".join(out), 1)

    async def _ping(self, heard: Heard, rest: str) -> Answer:
        hops = {None: "unknown hops", 0: "direct", 1: "1 hop"}.get(heard.hops, f"{heard.hops} hops")
        signal = f", {heard.rssi_dbm} dBm" if heard.rssi_dbm is not None else ""
        if heard.snr_qdb is not None:
            signal += f", SNR {heard.snr_qdb / 4:g} dB"
        last = " by the last of them" if heard.hops else ""
        return Answer(f"pong: {hops}{signal}{last}, {self._clock()}", 1)

    async def _ask(self, heard: Heard, rest: str) -> Answer:
        if not rest:
            return Answer("ask QUESTION, for example: ask how do I make flood water safe to drink", 1)
        if not self._bus.offered("ask.short"):
            return Answer("Nobody answers questions here now: neither this node nor one near it can.", 1)
        return await self._asked(rest, heard.person.id)

    async def _asked(self, question: str, who: str) -> Answer:
        said = await self._bus.call("ask.short@1", {"question": question, "who": who}, caller=LOCAL, deadline_ms=ASK_MS)
        further = (lambda: self._asked("more", who)) if said.get("more") else None
        return Answer("\n".join(said.get("parts") or ["There was no answer."]), 2, further)

    async def _alerts(self, heard: Heard, rest: str) -> Answer:
        rows: list[dict[str, Any]] = []
        if self._bus.offered("alert.list"):
            rows = await self._bus.call("alert.list@1", {"limit": LIST_ROWS}, caller=CALLER, deadline_ms=CALL_MS) or []
        if not rows:
            return Answer("No alert stands.", 1)
        official = {True: "", False: "unofficial: "}
        return self._list(heard, [official[row["official"]] + alert_text(row) for row in rows])

    async def _safe(self, heard: Heard, rest: str) -> Answer:
        return await self._check_in(heard, "safe", rest)

    async def _need(self, heard: Heard, rest: str) -> Answer:
        return await self._check_in(heard, "need help", rest[len("help"):].lstrip(" !,.:"))

    async def _check_in(self, heard: Heard, state: str, note: str) -> Answer:
        if not self._bus.offered("checkin.post"):
            return Answer("This node takes no check-ins; post TEXT puts it on the board.", 1)
        params = {"name": heard.person.called, "state": state} | ({"note": short(note, NOTE_BYTES)} if note else {})
        await self._bus.call("checkin.post@1", params, caller=CALLER, deadline_ms=CALL_MS)
        return Answer(f"Noted, and told to the community: {short(heard.person.called, 40)}: {state}.", 1)

    # --- small things

    def _near(self) -> int:
        """How many nodes are near, by whatever link."""
        return len(self._node.peers()) + len(self._node.aired.in_reach())

    def _list(self, heard: Heard, texts: list[str]) -> Answer:
        """Numbered lines, each with the beginning of its text; `read N` gives the whole."""
        if len(self._shown) >= limits.RADIO_KNOWN_MAX:
            self._shown.clear()
        self._shown[heard.person.radio] = texts
        return Answer("\n".join(f"{n} {short(text, LINE_BYTES)}" for n, text in enumerate(texts, 1)), 1)

    def _author(self, row: dict[str, Any]) -> str:
        if row.get("name"):
            return str(row["name"])
        return self._node.name if row["author"] == self._node.key.hex() else "node " + row["author"][:8]

    def _from(self, one: Mail) -> str:
        if one.sender is None:
            return one.name or "a node"
        return one.name or self._people.get(one.sender).called

    def _clock(self) -> str:
        return time.strftime("%H:%M", time.localtime(self._now_s()))

    def _when(self, time_ms: int) -> str:
        """The hour today, else day and month."""
        then, now = time.localtime(time_ms // 1000), time.localtime(self._now_s())
        same = then[:3] == now[:3]
        return time.strftime("%H:%M" if same else "%d.%m.", then)


def _named(person: Person) -> str:
    """Name and number."""
    return f"{short(person.called, 40)} {person.id}" if person.called != person.id else person.id


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'s' * (n != 1)}"


def _span(seconds: int) -> str:
    for unit_s, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= unit_s:
            return f"{seconds // unit_s} {unit}"
    return f"{seconds} s"


_ABOUT = {
    "board": "board: the newest notices, numbered. board WORDS: those with these words. read N: the whole of one. "
             "more: the next ones.",
    "post": "post TEXT: put a notice on the board. Everybody can read it, here and on the other nodes.",
    "inbox": "inbox: what was sent to your radio. read N: the whole of one.",
    "send": "send WHO TEXT: kept until the radio of WHO is heard by any node, 14 days at most. Anybody can read it.",
    "read": "read N: the whole of number N of the board or inbox that you asked for last.",
    "status": "status: how this node is, and what became of what you sent.",
    "ping": "ping: how many hops away you are and how well you are heard.",
    "ask": "ask QUESTION: an answer from the library or a model of this node, if there is one.",
    "alerts": "alerts: the alerts that stand, official ones first. read N: the whole of one.",
    "more": "more: the next part of the last answer.",
    "safe": "safe: tell the community that you are well. need help TEXT: tell it that you are not.",
}
