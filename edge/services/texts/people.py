"""People with radios: what they are called, by which link they were heard last, and from how far.

A radio's number and name are what it says of itself, and anybody can say them; nothing is granted for them. The table
is bounded: who was not heard for longest goes first, and who never spoke to us before who did. It outlives a reboot
through the rows that `changed` gives.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PEOPLE_MAX = 512
FRESH_S = 1800  # a radio heard so lately counts as near
KEEP_AGAIN_S = 3600  # when it was heard is kept no more often
ID_DIGITS = 8


class Person:
    """One radio. radio: its 4 bytes. name, short: "" unknown. link: "" never heard here. spoke: to this node."""

    __slots__ = ("radio", "name", "short", "link", "hops", "heard_s", "spoke", "kept_s")

    def __init__(self, radio: bytes, name: str = "", short: str = "", link: str = "", hops: int | None = None,
                 heard_s: int = 0, spoke: bool = False) -> None:
        self.radio = radio
        self.name = name
        self.short = short
        self.link = link
        self.hops = hops
        self.heard_s = heard_s
        self.spoke = spoke
        self.kept_s = heard_s

    @property
    def id(self) -> str:
        """Its number as Meshtastic writes it."""
        return "!" + self.radio.hex()

    @property
    def called(self) -> str:
        """What to call it."""
        return self.name or self.short or self.id

    def row(self) -> tuple[Any, ...]:
        """What is kept of it."""
        return self.radio, self.name, self.short, self.link, self.hops, self.heard_s, self.spoke


class Heard:
    """One text of a person. way: (link, radio); hops, rssi_dbm, snr_qdb: None where unknown."""

    __slots__ = ("way", "person", "text", "hops", "rssi_dbm", "snr_qdb")

    def __init__(self, way: tuple[str, bytes], person: Person, text: str, hops: int | None = None,
                 rssi_dbm: int | None = None, snr_qdb: int | None = None) -> None:
        self.way = way
        self.person = person
        self.text = text
        self.hops = hops
        self.rssi_dbm = rssi_dbm
        self.snr_qdb = snr_qdb


class People:
    """rows: those that were kept, as Person.row gives them."""

    def __init__(self, rows: list[tuple[Any, ...]]) -> None:
        self._people = {row[0]: Person(*row) for row in rows}
        self._dirty: dict[bytes, None] = {}

    def __len__(self) -> int:
        return len(self._people)

    def get(self, radio: bytes) -> Person:
        """The person with this radio; one that nothing is known of where it is new."""
        return self._people.get(radio) or Person(radio)

    def heard(self, radio: bytes, link: str, hops: int | None, now_s: int, *, name: str = "", short: str = "",
              spoke: bool = False) -> Person:
        """It was heard just now."""
        person = self._people.get(radio) or self._add(Person(radio))
        names = (name or person.name, short or person.short)
        if (names != (person.name, person.short) or link != person.link or (spoke and not person.spoke)
                or now_s - person.kept_s >= KEEP_AGAIN_S):
            self._dirty[radio] = None
        person.name, person.short = names
        person.link, person.hops, person.heard_s = link, hops, now_s
        person.spoke = person.spoke or spoke
        return person

    def told(self, radio: bytes, name: str) -> None:
        """Another node calls it so; what it says of itself counts more."""
        person = self._people.get(radio) or self._add(Person(radio))
        if not person.link and name and name != person.name:
            person.name = name
            self._dirty[radio] = None

    def changed(self, now_s: int) -> list[tuple[Any, ...]]:
        """The rows to keep that have changed since it was asked last."""
        dirty, self._dirty = self._dirty, {}
        found = [self._people[radio] for radio in dirty if radio in self._people]
        for person in found:
            person.kept_s = now_s
        return [person.row() for person in found]

    def find(self, said: str) -> tuple[list[Person], str]:
        """(who may be meant by the beginning of what was said, the rest of it).

        A number (!9ea2f3c4, with or without the mark) means itself, known or not; a name the longest that fits, whole,
        in capitals or not. Nobody: ([], said).
        """
        first, _, rest = said.partition(" ")
        digits = first.removeprefix("!").lower()
        if len(digits) == ID_DIGITS and all(one in "0123456789abcdef" for one in digits):
            return [self.get(bytes.fromhex(digits))], rest.strip()
        best: list[Person] = []
        length = 0
        for person in self._people.values():
            for name in {person.name, person.short}:
                size = len(name)
                if size < max(length, 1) or said[:size].lower() != name.lower() or said[size:size + 1].strip(" :,"):
                    continue
                best = [*best, person] if size == length else [person]
                length = size
        return best, said[length:].lstrip(" :,") if best else said

    def _add(self, person: Person) -> Person:
        if len(self._people) >= PEOPLE_MAX:
            worst = min(self._people.values(), key=lambda one: (one.spoke, one.heard_s))
            del self._people[worst.radio]
        self._people[person.radio] = person
        return person
