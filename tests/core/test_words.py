"""Names as people type them, compared (PROTOCOL 18.2)."""

from __future__ import annotations

from edge.core.words import plain, stand_in


def test_two_spellings_of_one_name() -> None:
    for a, b in (("Ann  Smith", " ann smith"), ("J. Smith", "j smith"), ("Jos\u00e9", "jos\u00c9"),
                 ("O'Neil", "o\u2019neil"), ("\u674e \u6d77", "\u674e\u3000\u6d77"), ("\u0391\u03b8", "\u03b1\u03b8"),
                 ("\u041c\u0430\u0440\u0438", "\u043c\u0430\u0440\u0438")):
        assert plain(a) == plain(b), (a, b)
    for a, b in (("Ann Smith", "Anna Smith"), ("Ann", "Ann 2"), ("\u674e\u6d77", "\u674e\u6d77\u6ce2")):
        assert plain(a) != plain(b), (a, b)
    for nothing in ("", " ", "-.-", "\u3000\u2014"):
        assert plain(nothing) == ""


def test_a_name_in_a_text() -> None:
    assert stand_in(["Essex County"], "Windsor - Leamington - Essex County")
    assert stand_in(["delft"], "DELFT")
    assert stand_in(["Ma\u00f1ana", "006109"], "006109")
    assert not stand_in(["Essex"], "Middlessex")
    assert not stand_in([], "Delft")
    assert not stand_in(["", " - "], "Delft")
