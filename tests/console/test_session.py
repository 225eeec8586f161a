"""A person at the console, key by key. edge/console/session.py."""

from __future__ import annotations

import json

import pytest

from edge.console.session import LEAVE, LOCK_IDLE_S, RUN, STOP, Session
from edge.console.words import Verb

VERBS = (
    Verb("status", "status", "how the node is"),
    Verb("send", "send", "send a message", rest=1),
    Verb("ask", "ask", "ask a question", rest=0),
    Verb("radios", "radio", "the radios", alone="radio list"),
    Verb("update", "update", "the version", alone="update status", when="apply", question="It restarts. Type yes."),
    Verb("time", "time", "the clock", when="--set", question="It sets the clock. Type yes."),
    Verb("pack", "pack", "packs", alone="pack list", when="remove", question="It is deleted. Type yes."),
    Verb("reboot", "reboot --yes", "restart the box", question="This restarts the box. Type yes to go on."),
    Verb("factory-reset", "factory-reset --yes", "forget everything", question="All is lost.\nType its name: NAME"),
)


class Person:
    """Types, and sees what the terminal shows."""

    def __init__(self, pin: str = "", rows: int = 24, name: str = "Library", leaves: bool = False) -> None:
        self.now_s = 100
        self.session = Session(name, VERBS, lambda text: [], lambda: self.now_s, pin, rows, leaves)
        self.screen = self.session.greet().decode()
        self.wishes: list[tuple[str, list[str]]] = []

    def types(self, text: str) -> str:
        """What appears."""
        out, wishes = self.session.keys(text.encode())
        self.wishes += wishes
        self.screen += out.decode()
        return out.decode()

    def sees(self, text: str, code: int = 0) -> str:
        """A command printed this and ended."""
        out = self.session.output(text.encode())
        more, wishes = self.session.ended(code)
        self.wishes += wishes
        return (out + more).decode()


@pytest.mark.parametrize(("text", "words"), [
    ("status", ["status"]),
    ("status --json", ["status", "--json"]),
    ("send clinic we have water", ["send", "clinic", "we have water"]),
    ("send clinic it's dark", ["send", "clinic", "it's dark"]),
    ("send clinic 'two  spaces'", ["send", "clinic", "two  spaces"]),
    ("send --help", ["send", "--help"]),
    ("radios", ["radio", "list"]),
    ("radios watch --json", ["radio", "watch", "--json"]),
    ("radios --json", ["radio", "list", "--json"]),
    ("waypost status", ["status"]),
    ("waypost radio airtime", ["radio", "airtime"]),
    ("send clinic we have water --json", ["send", "clinic", "we have water", "--json"]),
    ("send --json clinic we have water", ["send", "clinic", "we have water", "--json"]),
    ("send clinic 'we take --json'", ["send", "clinic", "we take --json"]),
    ("ask how long does water keep --json", ["ask", "how long does water keep", "--json"]),
    ("ask --json", ["ask", "--json"]),
    ('send "the clinic" hello there', ["send", "the clinic", "hello there"]),
    ("send 'the clinic' 'hello there'", ["send", "the clinic", "hello there"]),
    ("send 'St. Anne's' it's dark", ["send", "St. Anne's", "it's dark"]),
    ('send clinic "water" is what they said', ["send", "clinic", '"water" is what they said']),
    ("update", ["update", "status"]),
    ("update --json", ["update", "status", "--json"]),
    ("update check x", ["update", "check", "x"]),
    ("update apply --yes", ["update", "apply"]),
    ("update apply --yes --json", ["update", "apply", "--json"]),
    ("pack search how to remove mould", ["pack", "search", "how", "to", "remove", "mould"]),
    ("time", ["time"]),
    ("reboot --yes", ["reboot", "--yes"]),
    ("reboot --help", ["reboot", "--yes", "--help"]),
])
def test_commands(text: str, words: list[str]) -> None:
    person = Person()
    person.types(text + "\r")
    assert person.wishes == [(RUN, words)]
    assert person.sees("done\n").endswith("waypost> ")


def test_what_hurts_is_asked_for_first() -> None:
    person = Person()
    assert "Type yes" in person.types("reboot\r")
    assert person.wishes == []
    assert "nothing was done" in person.types("y\r")
    person.types("reboot\r")
    person.types("yes\r")
    assert person.wishes == [(RUN, ["reboot", "--yes"])]
    person.sees("")
    person.types("factory-reset\r")
    person.types("yes\r")
    assert len(person.wishes) == 1
    person.types("factory-reset\r")
    person.types("Library\r")
    assert person.wishes[1:] == [(RUN, ["factory-reset", "--yes"])]


@pytest.mark.parametrize("line", [
    "update apply", "update --older apply", "pack remove water", "time --set '2026-11-26'", "time --set=2026",
])
def test_what_hurts_in_one_form_is_asked_for_in_that_form(line: str) -> None:
    person = Person()
    assert "Type yes" in person.types(line + "\r") and person.wishes == []
    person.types("yes\r")
    assert [kind for kind, _ in person.wishes] == [RUN] and "--yes" not in person.wishes[0][1]


@pytest.mark.parametrize(("name", "shown", "typed"), [
    ("Bücherei Süd", '"Bucherei Sud"', "Bucherei Sud"), ("Bücherei Süd", '"Bucherei Sud"', "Bücherei Süd"),
    ("Halle ", '"Halle "', "Halle"), ("two  blanks", '"two  blanks"', "two blanks"), ("水", '"?"', "?"),
    ("\N{COMBINING ACUTE ACCENT}", "Type its name: yes", "yes"),
])
def test_a_name_is_typed_as_the_screen_shows_it(name: str, shown: str, typed: str) -> None:
    person = Person(name=name)
    assert shown in person.types("factory-reset\r")
    assert "nothing was done" in person.types("\r"), "Enter alone is no answer"
    person.types("factory-reset\r")
    assert "nothing was done" in person.types("Hall\r")
    person.types("factory-reset\r")
    person.types(typed + "\r")
    assert person.wishes == [(RUN, ["factory-reset", "--yes"])]


@pytest.mark.parametrize("line", ["reboot --json", "statsu --json", "send 'x --json", "help nosuch --json"])
def test_what_is_not_run_is_one_document_for_programs(line: str) -> None:
    person = Person()
    said = person.types(line + "\r").split("\r\n")
    assert len(said) == 3 and said[2] == "waypost> " and person.wishes == []
    error = json.loads(said[1])["error"]
    assert error["code"] == "usage" and error["message"] and error["hint"]


def test_a_program_gets_no_text_behind_its_document() -> None:
    person = Person()
    person.types("status --json\r")
    assert person.sees('{"error":{}}\n', code=3).split("\r\n") == ['{"error":{}}', "waypost> "]
    assert len(person.wishes) == 1, "no doctor"
    person.types("status --json\r")
    assert json.loads(person.sees("", code=-11).split("\r\n")[0])["error"]["code"] == "internal"
    rows = json.loads(person.types("help --json\r").split("\r\n")[1])
    assert [row["name"] for row in rows] == [verb.name for verb in VERBS]


def test_help_comes_a_screen_at_a_time() -> None:
    person = Person(rows=6)
    first = person.types("help\r")
    assert "how the node is" in first and first.endswith("q: enough --")
    assert "restart the box" not in first
    while not (last := person.types(" ")).endswith("waypost> "):
        assert "more" in last
    assert "to leave, pull the cable" in person.screen and person.wishes == []
    person.types("help\r")
    assert person.types("q").endswith("waypost> ")
    person.types("?\r")
    assert person.types("\x03").endswith("waypost> ")
    assert 'no such command: "nosuch"; help lists them' in person.types("help nosuch\r")
    assert "did you mean status?" in person.types("help stat\r")
    assert "radios: the radios" in person.types("help radio\r")


@pytest.mark.parametrize("word", ["exit", "quit", "logout", "waypost exit", "\x04"])
def test_leaving(word: str) -> None:
    typed = word if word == "\x04" else word + "\r"
    person = Person()
    assert "pull the cable" in person.types(typed) and person.screen.endswith("waypost> ")
    person = Person(leaves=True)
    person.types(typed)
    assert person.wishes == [(LEAVE, [])] and "pull" not in person.screen
    person = Person(pin="2468")
    person.types("2468\r")
    assert "press Enter" in person.types(typed)


def test_an_interrupted_question_does_nothing() -> None:
    person = Person()
    person.types("reboot\r")
    person.types("\x03")
    person.types("yes\r")
    assert person.wishes == [] and "no such command" in person.screen


def test_what_is_typed_behind_a_command_is_not_its_answer() -> None:
    person = Person()
    person.types("status\rreboot\ryes\r")
    assert person.wishes == [(RUN, ["status"])]


def test_mistakes_are_explained() -> None:
    person = Person()
    assert 'no such command: "stat"; did you mean status?' in person.types("stat\r")
    assert "No closing quotation" in person.types("status 'x\r")
    assert "how the node is" in person.types("help\r")
    assert "restart the box" in person.types("help reboot\r")


def test_a_dead_node_is_followed_by_what_is_broken() -> None:
    person = Person()
    person.types("status\r")
    out = person.sees("waypost: no node answers there\n", code=3)
    assert not out.endswith("waypost> ")
    assert person.wishes[1:] == [(RUN, ["doctor", "--broken"])]
    assert person.sees("BROKEN disk full\n", code=1).endswith("waypost> ")


def test_long_output_waits_for_a_key_and_may_be_enough() -> None:
    person = Person(rows=6)
    person.types("status\r")
    out = person.session.output(b"".join(b"line %d\n" % n for n in range(1000))).decode()
    assert out.count("line") == 4 and person.session.full
    assert person.types(" ").count("line") == 4
    person.types("q")
    assert person.wishes[-1] == (STOP, [])
    assert "line" not in person.sees("line\n", code=-2)


def test_json_is_never_paged() -> None:
    person = Person(rows=6)
    person.types("status --json\r")
    assert person.session.output(b"{}\n" * 50).decode().count("{}") == 50


def test_a_running_command_is_ended_by_interrupt_only() -> None:
    person = Person()
    person.types("status\r")
    person.types("yes\r")
    assert len(person.wishes) == 1
    person.types("\x03")
    assert person.wishes[-1] == (STOP, [])


def test_a_pin_is_asked_for_not_shown_and_guessing_is_slow() -> None:
    person = Person(pin="2468")
    assert "press Enter" in person.screen and "waypost>" not in person.screen
    assert person.types("status\r").count("*") == 6 and not person.wishes
    for _ in range(3):
        person.types("1111\r")
    assert "wait 30 s" in person.screen
    person.types("2468\r")
    assert not person.screen.endswith("waypost> "), "even the right one has to wait"
    person.now_s += 31
    assert person.types("2468\r").endswith("waypost> ")
    person.types("status\r")
    assert person.wishes == [(RUN, ["status"])] and "2468" not in person.screen
    person.sees("")
    person.now_s += LOCK_IDLE_S + 1
    assert "press Enter" in person.types("status\r")
    assert len(person.wishes) == 1
    person.types("2468\r")
    assert "press Enter" in person.types("\x04"), "^D locks"
