"""Who is meant by a name or number, what is kept, and that the table has an end."""

from __future__ import annotations

import pytest

from edge.services.texts import people
from edge.services.texts.people import People

ANA, BOB, BO = b"\x9e\xa2\xf3\xc4", b"\0\0\0\2", b"\0\0\0\3"
NOW_S = 1_800_000_000


def some() -> People:
    made = People([])
    made.heard(ANA, "lora", 1, NOW_S, name="Ana María", short="ANA")
    made.heard(BOB, "lora", None, NOW_S, name="Bob", short="B")
    made.heard(BO, "lora", 0, NOW_S, name="Bob the baker")
    return made


@pytest.mark.parametrize(("said", "who", "rest"), [
    ("!9ea2f3c4 hi there", [ANA], "hi there"), ("9EA2F3C4 hi", [ANA], "hi"), ("!00000009 hi", [b"\0\0\0\x09"], "hi"),
    ("ana hi", [ANA], "hi"), ("ANA MARÍA: hi", [ANA], "hi"), ("bob hi", [BOB], "hi"), ("b hi", [BOB], "hi"),
    ("Bob the baker, bread?", [BO], "bread?"), ("bob", [BOB], ""), ("bobby hi", [], "bobby hi"), ("", [], ""),
    ("!9ea2f3 hi", [], "!9ea2f3 hi"),
])
def test_find(said: str, who: list[bytes], rest: str) -> None:
    found, left = some().find(said)
    assert [person.radio for person in found] == who and left == rest


def test_two_of_one_name_are_not_guessed_between() -> None:
    made = some()
    made.heard(b"\0\0\0\4", "lora", 0, NOW_S, name="Ana María")
    assert {person.radio for person in made.find("ana maría hi")[0]} == {ANA, b"\0\0\0\4"}
    assert [person.radio for person in made.find("ana hi")[0]] == [ANA]


def test_what_is_kept_comes_back_and_is_written_seldom() -> None:
    made = some()
    rows = made.changed(NOW_S)
    assert len(rows) == 3 and made.changed(NOW_S) == []
    made.heard(ANA, "lora", 2, NOW_S + 60)
    assert made.changed(NOW_S + 60) == []  # only that it was heard again
    made.heard(ANA, "lora", 2, NOW_S + 70, spoke=True)
    made.heard(BOB, "lora", 2, NOW_S + people.KEEP_AGAIN_S)
    assert [row[0] for row in made.changed(NOW_S + 70)] == [ANA, BOB]
    again = People(rows)
    assert again.get(ANA).called == "Ana María" and again.get(ANA).hops == 1 and not again.get(ANA).spoke
    assert again.get(b"\0\0\0\x63").called == "!00000063" and len(again) == 3


def test_what_others_say_of_a_radio_counts_less() -> None:
    made = some()
    made.told(ANA, "Somebody else")
    made.told(b"\0\0\0\5", "Eve")
    assert made.get(ANA).called == "Ana María" and made.get(b"\0\0\0\5").called == "Eve"
    made.heard(b"\0\0\0\5", "lora", 0, NOW_S, name="Eva")
    made.told(b"\0\0\0\5", "Eve")
    assert made.get(b"\0\0\0\5").called == "Eva"


def test_the_table_has_an_end() -> None:
    made = People([])
    made.heard(ANA, "lora", 0, 1, spoke=True)
    for n in range(2 * people.PEOPLE_MAX):
        made.heard(n.to_bytes(4, "big"), "lora", 0, NOW_S + n)
    assert len(made) == people.PEOPLE_MAX
    assert made.get(ANA).heard_s == 1 and made.get((2 * people.PEOPLE_MAX - 1).to_bytes(4, "big")).link
    assert not made.get((5).to_bytes(4, "big")).link
    assert len(made.changed(NOW_S)) == people.PEOPLE_MAX
