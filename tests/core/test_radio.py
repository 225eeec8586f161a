"""Broadcast links: the flood, beacons and sketches, asks, objects, and what must never happen on the air."""

from __future__ import annotations

from typing import Any

import pytest

from edge.core import airsets, beacon, effects, hlc, limits, message, objects, onair
from edge.core.link import LinkInfo
from edge.core.machine import Machine
from edge.core.message import Message
from edge.core.rng import Rng

UNIX_MS = 1_790_000_000_000
KEY = b"community key of the radio tests"
LINK = "lora"
MINUTE = 60000


class Radio:
    """A machine, a dict for a store, and what it sends: one thing at a time, taken by the test or by `Field`."""

    def __init__(self, number: int, *, key: bytes | None = KEY, mesh: bool = False, mtu: int = 200,
                 quality: int = hlc.QUALITY_RTC, unix_ms: int = UNIX_MS, now_ms: int = 0) -> None:
        self.machine: Any = Machine(bytes([number]) * 32, f"node-{number}", Rng(number), community_key=key)
        self.store: dict[bytes, Message] = {}
        self.sent: list[tuple[int, bytes]] = []  # (lane, frame), not on the air yet
        self.log: list[tuple[Any, ...]] = []
        self.machine.command(now_ms, effects.CLOCK, unix_ms + now_ms, quality)
        self.machine.command(now_ms, effects.LINK_UP, LinkInfo(
            LINK, mtu_bytes=mtu, lanes=7, broadcast=True, ordered=False, small=True, burst=1, bits_per_s=3516,
            mesh=mesh))

    @property
    def counters(self) -> dict[str, int]:
        counters: dict[str, int] = self.machine.counters
        return counters

    def post(self, now_ms: int, text: str = "hello", lane: int = 2, type: int = message.NOTICE,
             dest: bytes | None = None) -> None:
        body = {1: text} if dest is None else {3: text.encode()}
        self.machine.command(now_ms, effects.POST, 1, type, lane, 86400, dest, body)
        self.step(now_ms)

    def hear(self, now_ms: int, frame: bytes, rssi_dbm: int | None = -100) -> None:
        self.machine.receive(now_ms, LINK, b"", frame, rssi_dbm)
        self.step(now_ms)

    def step(self, now_ms: int) -> None:
        while pending := self.machine.drain():
            self.log += pending
            stored: list[tuple[bytes, int, None]] = []
            for effect in pending:
                if effect[0] == effects.STORE:
                    self.store[effect[1].key] = effect[1]
                    stored.append((effect[1].id, effects.NEW, None))
                elif effect[0] == effects.SEND:
                    assert effect[2] is None and len(effect[4]) <= 200
                    self.sent.append((effect[3], effect[4]))
                elif effect[0] == effects.PUSH:
                    data = [self.store[key].data for key in effect[4] if key in self.store]
                    frames = self.machine.pack(LINK, data)
                    if frames:
                        self.sent.append((effect[3], frames[0]))
                    else:
                        self.machine.command(now_ms, effects.PUSHED, LINK, b"")
            if stored:
                self.machine.command(now_ms, effects.STORED, stored)

    def run(self, from_ms: int, to_ms: int) -> list[bytes]:
        """Let time pass with a driver that sends at once and nobody who hears it; the frames."""
        out = []
        now_ms = from_ms
        while now_ms <= to_ms:
            self.machine.tick(now_ms)
            self.step(now_ms)
            while self.sent:
                out.append(self.sent.pop(0)[1])
                self.machine.command(now_ms, effects.PUSHED, LINK, b"")
                self.step(now_ms)
            now_ms = max(now_ms + 1, self.machine.deadline())
        return out


def together(radios: list[Radio], from_ms: int, to_ms: int, lost: Any = None) -> dict[str, int]:
    """All hear all, one frame at a time; lost(frame, sender, receiver) says which are not heard. Bytes by kind."""
    bytes_by_kind: dict[str, int] = {}
    now_ms = from_ms
    while now_ms <= to_ms:
        for radio in radios:
            if radio.machine.deadline() <= now_ms:
                radio.machine.tick(now_ms)
            radio.step(now_ms)
        speaking = [radio for radio in radios if radio.sent]
        if speaking:
            speaking.sort(key=lambda radio: radio.sent[0][0])
            sender = speaking[0]
            _, frame = sender.sent.pop(0)
            now_ms += 60 + len(frame) * 2
            kind = {0x48: "beacon", 0x0A: "piece", 0x0B: "need", 0x0C: "ask", 0x0D: "window"}.get(frame[0], "message")
            bytes_by_kind[kind] = bytes_by_kind.get(kind, 0) + len(frame)
            for radio in radios:
                if radio is not sender and (lost is None or not lost(frame, sender, radio)):
                    radio.hear(now_ms, frame)
            sender.machine.command(now_ms, effects.PUSHED, LINK, b"")
            sender.step(now_ms)
        else:
            now_ms = max(now_ms + 1, min(radio.machine.deadline() for radio in radios))
    return bytes_by_kind


def made(number: int, seq: int, text: str = "x", *, lane: int = 2, ms: int = UNIX_MS) -> Message:
    seed = bytes([number]) * 32
    key = Machine(seed, "", Rng(0)).key
    one: Message = message.build(seed, key, seq, (ms // 1000 << 16) + seq, 86400, lane, message.NOTE, None, {1: text})
    return one


def give(radio: Radio, *several: Message) -> None:
    """Put messages there as if they had been there at boot."""
    for one in several:
        radio.store[one.key] = one
    radio.machine.command(0, effects.LOAD, [(one.lane, one.hlc, one.id) for one in several])


def messages_in(frames: list[bytes]) -> list[bytes]:
    return [frame for frame in frames if frame[0] >= onair.KIND]


def beacons_in(frames: list[bytes], key: bytes | None = KEY) -> list[tuple[Any, list[tuple[int, int, bytes, bytes]]]]:
    out = []
    for frame in frames:
        if frame[0] == 0x48:
            told, _, sets = beacon.unpack(frame, beacon.Keys(key))
            out.append((told, airsets.unpack_sets(sets)))
    return out


# --- the flood


def test_a_post_goes_at_once_and_is_taken_and_passed_on_once() -> None:
    a, b = Radio(1), Radio(2)
    a.post(0)
    (frame,) = messages_in(a.run(0, 500))
    b.hear(1000, frame)
    assert set(b.store) == set(a.store)
    assert messages_in(b.run(1000, 20000)) == messages_in([frame])
    assert messages_in(b.run(20001, 10 * MINUTE)) == []


@pytest.mark.parametrize(("lane", "copies"), [(2, limits.RADIO_COPIES), (0, limits.RADIO_COPIES_ALERT)])
def test_who_hears_enough_copies_is_silent(lane: int, copies: int) -> None:
    a, b, c = Radio(1), Radio(2), Radio(3)
    a.post(0, lane=lane, type=message.NOTE)
    (frame,) = messages_in(a.run(0, 500))
    for _ in range(copies):
        b.hear(1000, frame)
        c.hear(1000, frame)
    b.hear(1000, frame)
    assert len(messages_in(c.run(1001, 20000))) == 1
    assert messages_in(b.run(1001, 20000)) == []
    assert b.counters["radio.suppressed"] == 1 and b.counters["rx.duplicate"] == copies


@pytest.mark.parametrize("before", [0, 1], ids=["none heard before", "one heard before"])
def test_what_waits_in_the_driver_is_taken_back_when_others_have_said_it(before: int) -> None:
    a, b = Radio(1), Radio(2)
    a.post(0)
    (frame,) = messages_in(a.run(0, 500))
    for _ in range(1 + before):
        b.hear(1000, frame)
    (key,) = b.store
    now_ms = 1000
    while not b.sent:  # its delay is over and the driver has it, with no airtime
        now_ms = b.machine.deadline()
        b.machine.tick(now_ms)
        b.step(now_ms)
    for n in range(1 + before, limits.RADIO_COPIES):
        b.hear(now_ms + n, frame)
    assert not [effect for effect in b.log if effect[0] == effects.CANCEL]
    for n in range(2):
        b.hear(now_ms + limits.RADIO_COPIES + n, frame)
        assert [effect for effect in b.log if effect[0] == effects.CANCEL] == [(effects.CANCEL, LINK, key)]
    assert b.counters["radio.taken_back"] == 1


def test_what_went_out_is_not_taken_back() -> None:
    a, b = Radio(1), Radio(2)
    a.post(0)
    (frame,) = messages_in(a.run(0, 500))
    b.hear(1000, frame)
    assert messages_in(b.run(1000, 20000))
    for _ in range(3):
        b.hear(20001, frame)
        a.hear(20001, frame)  # its own, repeated: nobody takes back what its author says
    assert not [effect for effect in a.log + b.log if effect[0] == effects.CANCEL]


def test_a_weak_signal_waits_less() -> None:
    def mean_ms(rssi_dbm: int) -> int:
        flood = Radio(1).machine.air(LINK).flood
        return sum(flood.delay_ms(rssi_dbm) for _ in range(400)) // 400

    assert mean_ms(-120) + 500 < mean_ms(-90) < mean_ms(-60) - 500
    assert mean_ms(-200) > 0


def test_what_a_mesh_carried_is_not_passed_on_there() -> None:
    a, b = Radio(1), Radio(2, mesh=True)
    a.post(0)
    (frame,) = messages_in(a.run(0, 500))
    b.hear(1000, frame)
    assert b.store and messages_in(b.run(1000, 10 * MINUTE)) == []
    b.post(10 * MINUTE)
    assert len(messages_in(b.run(10 * MINUTE, 11 * MINUTE))) == 1


def test_old_messages_are_not_flooded() -> None:
    b = Radio(2)
    old = made(9, 1, ms=UNIX_MS - 1000 * (limits.RADIO_FLOOD_S_MAX + 60))
    b.hear(0, onair.pack(old, True))
    assert old.key in b.store and messages_in(b.run(0, MINUTE)) == []


def test_an_alert_is_said_again_and_its_author_named_in_full() -> None:
    a = Radio(1)
    a.post(0, "flood", lane=0, type=message.NOTE)
    said = messages_in(a.run(0, 30 * MINUTE))
    assert len(said) == 1 + limits.RADIO_REPEATS_MAX
    assert all(onair.unpack(frame, lambda ref: []) for frame in said)


def test_an_alert_overtakes_what_waits() -> None:
    a = Radio(1)
    for n in range(10):
        a.post(0, f"post {n}")
    a.machine.tick(1000)
    a.step(1000)
    assert [lane for lane, _ in a.sent] == [2]  # one with the driver, nine in line
    a.post(1001, "flood", lane=0, type=message.NOTE)
    a.machine.tick(2000)
    a.step(2000)
    assert [lane for lane, _ in a.sent] == [2, 0]
    a.machine.command(2000, effects.PUSHED, LINK, b"")
    a.step(2000)
    assert [lane for lane, _ in a.sent] == [2, 0, 2]


def test_a_driver_that_says_nothing_more_is_fed_again() -> None:
    a = Radio(1)
    a.post(0)
    a.post(0)
    a.machine.tick(1000)
    a.step(1000)
    assert len(a.sent) == 1
    a.machine.tick(2000 + limits.RADIO_STALL_MS)
    a.step(2000 + limits.RADIO_STALL_MS)
    assert len(a.sent) == 2 and a.counters["radio.stalled"] == 1


def test_the_line_is_bounded_and_alerts_push_others_out() -> None:
    flood = Radio(1).machine.air(LINK).flood
    keys = [bytes([n, 0]) * 8 for n in range(limits.RADIO_WAITS_MAX + 1)]
    assert all(flood.wait(0, 2, key, 10) for key in keys[:-1])
    assert not flood.wait(0, 2, keys[-1], 10)
    assert flood.wait(0, 0, keys[-1], 10) and len(flood) == limits.RADIO_WAITS_MAX


# --- taking messages


def test_every_known_author_of_a_ref_is_tried_and_only_one_failure_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    one = made(9, 1)
    b = Radio(2)
    others = [bytes([n]) * 32 for n in range(3)]
    monkeypatch.setattr(b.machine.air(LINK).book, "keys_of", lambda ref: [*others, one.author])
    b.hear(0, onair.pack(one))
    assert one.key in b.store and not any(name.startswith("drop.") for name in b.counters)
    two = made(9, 2)
    monkeypatch.setattr(b.machine.air(LINK).book, "keys_of", lambda ref: others)
    b.hear(0, onair.pack(two))
    assert two.key not in b.store and b.counters["drop.bad_signature"] == 1


def test_a_stranger_is_dropped_until_a_whole_key_was_heard() -> None:
    b = Radio(2)
    b.hear(0, onair.pack(made(9, 1)))
    assert b.counters["drop.onair.unknown_author"] == 1
    b.hear(0, onair.pack(made(9, 2), True))
    b.hear(0, onair.pack(made(9, 1)))
    assert len(b.store) == 2


def test_signature_checks_are_bounded_and_some_kept_for_alerts() -> None:
    b = Radio(2)
    good = onair.pack(made(9, 1), True)
    for n in range(100):
        b.hear(0, good[:-2] + bytes([n, 1]))
    assert b.counters["drop.bad_signature"] == limits.RADIO_CHECKS_BURST - limits.RADIO_CHECKS_ALERT
    assert b.counters["drop.rate"] == 100 - b.counters["drop.bad_signature"]
    alert = made(9, 2, lane=0)
    b.hear(0, onair.pack(alert, True))
    assert alert.key in b.store


@pytest.mark.parametrize(("frame", "reason"), [
    (b"", "frame.size"), (b"\x01abc", "frame.kind"), (b"\x0c123456789abc", "radio.tag"), (b"\x0b1234", "radio.tag"),
    (b"\x0a" + bytes(30), "radio.tag"), (b"HN02" + bytes(28), "beacon.form"), (b"\x80abc", "onair.size"),
])
def test_what_is_no_frame_is_a_counted_drop(frame: bytes, reason: str) -> None:
    b = Radio(2)
    b.hear(0, frame)
    assert b.counters == {"drop." + reason: 1}


def test_noise_never_raises() -> None:
    rng = Rng(5)
    a, b = Radio(1), Radio(2)
    give(a, *(made(9, n) for n in range(1, 9)))
    a.post(0, Rng(3).bytes(400).hex())
    frames = a.run(0, 5 * MINUTE)
    for n in range(400):
        frame = bytearray(frames[n % len(frames)])
        frame[rng.below(len(frame))] ^= 1 << rng.below(8)
        b.hear(n * 1000, bytes(frame[:1 + rng.below(len(frame) + 20)]))
        b.machine.tick(n * 1000)
        b.step(n * 1000)
        b.sent.clear()
    assert sum(n for name, n in b.counters.items() if name.startswith("drop.")) > 200


# --- beacons


def test_beacons_become_rarer_and_news_make_them_quick_again() -> None:
    a = Radio(1)
    assert len(beacons_in(a.run(0, 60 * MINUTE))) in (7, 8, 9)
    a.post(60 * MINUTE)
    soon = beacons_in(a.run(60 * MINUTE, 62 * MINUTE))
    assert len(soon) >= 2
    told, sets = soon[-1]
    assert told.node == beacon.node_of(a.machine.key) and told.quality == hlc.QUALITY_RTC
    assert abs(told.time_s * 1000 - UNIX_MS - 62 * MINUTE) <= MINUTE + 1000
    assert [(lane, count, sketch) for lane, count, _, sketch in sets] == [(0, 0, b""), (1, 0, b""), (2, 1, b"")]


def test_nothing_missing_costs_ten_bytes_and_few_speak() -> None:
    radios = [Radio(n) for n in range(1, 9)]
    together(radios, 0, 15 * MINUTE)
    before = [radio.counters.get("radio.beacons", 0) for radio in radios]
    together(radios, 15 * MINUTE, 75 * MINUTE)
    frames = [frame for _, frame in radios[0].sent]
    said = sum(radio.counters["radio.beacons"] for radio in radios) - sum(before)
    assert 8 <= said <= 24 and not frames
    assert len(radios[0].machine.air(LINK).sync.pack_beacon(75 * MINUTE, 0)) == beacon.BEACON_BYTES + 10


def test_a_beacon_is_not_believed_twice_nor_from_strangers_nor_from_ourselves() -> None:
    a, b, stranger = Radio(1), Radio(2), Radio(3, key=None)
    frame = a.machine.air(LINK).sync.pack_beacon(0, 0)
    for _ in range(2):
        b.hear(0, frame)
    a.hear(0, frame)
    b.hear(0, stranger.machine.air(LINK).sync.pack_beacon(0, 0))
    assert b.counters == {"drop.beacon.old": 1, "radio.unverified": 1}
    assert a.counters == {"drop.beacon.own": 1}
    assert [one.node for one in b.machine.air(LINK).sync.heard] == [beacon.node_of(a.machine.key)]


def test_a_members_time_helps_who_has_none_and_moves_no_other_clock() -> None:
    a = Radio(1)
    none = Radio(2, quality=hlc.QUALITY_NONE, unix_ms=0)
    wrong = Radio(3, unix_ms=UNIX_MS - 10 * MINUTE)
    late = a.machine.air(LINK).sync.pack_beacon(MINUTE, 0)
    for radio in (none, wrong):
        radio.hear(MINUTE, late)
    assert none.machine.clock.now(MINUTE) >> 16 == (UNIX_MS + MINUTE) // 1000
    assert none.machine.clock.quality == hlc.QUALITY_LAST_SEEN
    assert wrong.machine.clock.now(MINUTE) >> 16 == (UNIX_MS - 9 * MINUTE) // 1000
    old = Radio(4, unix_ms=UNIX_MS - 60 * MINUTE)
    none.hear(MINUTE, old.machine.air(LINK).sync.pack_beacon(0, 0))
    assert none.machine.clock.now(MINUTE) >> 16 == (UNIX_MS + MINUTE) // 1000


def test_anybody_may_sync_without_a_community_key_but_gives_no_time() -> None:
    a, b = Radio(1, key=None), Radio(2, key=None, quality=hlc.QUALITY_NONE, unix_ms=0)
    give(a, *(made(9, n) for n in range(1, 4)))
    together([a, b], 0, 10 * MINUTE)
    assert set(b.store) == set(a.store)
    assert b.machine.clock.quality == hlc.QUALITY_NONE


# --- finding what is missing


def test_sixteen_of_a_thousand_are_found_from_one_sketch_and_asked_for_in_one_frame() -> None:
    every = [made(9, n) for n in range(1, 1001)]
    missing = every[100:900:50]
    a, b = Radio(1), Radio(2)
    give(a, *every)
    give(b, *(one for one in every if one not in missing))
    sketches: list[int] = []

    def look(frame: bytes, sender: Radio, receiver: Radio) -> bool:
        sketches.extend(len(row[3]) for _, sets in beacons_in([frame]) for row in sets if row[3])
        return False

    used = together([a, b], 0, 10 * MINUTE, look)
    assert len(missing) == 16 and set(b.store) == set(a.store)
    assert sketches and set(sketches) == {72} and not a.counters.get("radio.sketch_failed")
    given = a.counters.get("radio.given", 0)
    assert used.get("ask", 0) <= 11 + 4 * 16 and (used.get("ask", 0) or given)
    assert b.counters.get("radio.asked", 0) + given >= 16
    assert given + b.counters.get("radio.asked", 0) <= 32
    assert used["beacon"] <= 40 * 42 + 4 * 100
    print(f"\n16 missing of 1,000: sketches {sketches} bytes, asks {used.get('ask', 0)} bytes, {given} pushed unasked")


def test_both_sides_and_all_lanes_meet() -> None:
    a, b = Radio(1), Radio(2)
    give(a, *(made(9, n, lane=n % 3) for n in range(1, 30)))
    give(b, *(made(8, n, lane=n % 3) for n in range(1, 20)))
    together([a, b], 0, 40 * MINUTE)
    assert set(a.store) == set(b.store) and len(a.store) == 48


def test_others_asks_and_answers_serve_all() -> None:
    every = [made(9, n) for n in range(1, 9)]
    a, others = Radio(1), [Radio(n) for n in range(2, 8)]
    give(a, *every)
    together([a, *others], 0, 15 * MINUTE)
    assert all(set(radio.store) == set(a.store) for radio in others)
    sent = a.counters["radio.sent"] - a.counters["radio.beacons"]
    assert sent <= 3 * len(every)  # for six that lack all of it


@pytest.mark.parametrize(("theirs", "fails"), [(8, False), (9, True)])
def test_two_sums_of_a_sketch_are_to_spare(theirs: int, fails: bool) -> None:
    """A usual sketch of 18 tells 16 differences; 17 it could tell, but not so surely."""
    a, b = Radio(1), Radio(2)
    give(a, *(made(9, n) for n in range(1, 9)))
    give(b, *(made(8, n) for n in range(1, theirs + 1)))
    together([a, b], 0, 30 * MINUTE)
    assert set(a.store) == set(b.store)
    assert fails == bool(a.counters.get("radio.sketch_failed", 0) + b.counters.get("radio.sketch_failed", 0))


def test_a_sketch_that_fails_grows() -> None:
    a, b = Radio(1), Radio(2)
    give(a, *(made(9, n) for n in range(1, 14)))
    give(b, *(made(8, n) for n in range(1, 14)))  # the counts are equal, the difference is 26
    together([a, b], 0, 30 * MINUTE)
    assert set(a.store) == set(b.store)
    assert a.counters.get("radio.sketch_failed", 0) + b.counters.get("radio.sketch_failed", 0) >= 1


def test_who_has_nothing_gets_everything_window_by_window() -> None:
    a, b = Radio(1), Radio(2)
    give(a, *(made(9, n, ms=UNIX_MS - n * MINUTE) for n in range(1, 301)))
    used = together([a, b], 0, 90 * MINUTE)
    assert set(b.store) == set(a.store)
    assert a.counters["radio.windows"] >= 8 and used["window"] <= 60 * 200


def test_two_large_sets_that_have_nothing_in_common_meet() -> None:
    a, b = Radio(1), Radio(2)
    give(a, *(made(9, n, ms=UNIX_MS - n * MINUTE) for n in range(1, 121)))
    give(b, *(made(8, n, ms=UNIX_MS - n * 7000) for n in range(1, 101)))
    together([a, b], 0, 180 * MINUTE)
    assert set(b.store) == set(a.store) and len(a.store) == 220


def test_what_a_neighbour_never_takes_is_given_ever_more_rarely() -> None:
    a, b = Radio(1), Radio(2)
    old = made(9, 1, ms=UNIX_MS - 60 * MINUTE)
    give(a, old)
    b.machine.command(0, effects.GONE, 2, [], old.hlc + (1 << 16))
    used = together([a, b], 0, 3 * 60 * MINUTE)
    assert not b.store and 3 <= b.counters["drop.below_floor"] <= 16
    assert used["beacon"] <= 3 * 60 * 4 * 120


def test_long_messages_are_left_out_on_both_sides() -> None:
    a, b = Radio(1), Radio(2)
    long = made(9, 1, "x" * (limits.RADIO_MESSAGE_BYTES_MAX + 1))
    give(a, long, made(9, 2))
    give(b, made(9, 2))
    a.machine.command(0, effects.LOAD_LONG, [(2, long.hlc, long.id)])
    assert a.machine.air(LINK).sync.sets.digest(2, 5) == b.machine.air(LINK).sync.sets.digest(2, 5)
    a.machine.command(0, effects.GONE, 2, [(long.hlc, long.id)], 0)
    assert a.machine.air(LINK).sync.sets.digest(2, 5) == b.machine.air(LINK).sync.sets.digest(2, 5)


def test_sketches_stay_up_to_date() -> None:
    a, b = Radio(1), Radio(2)
    some = [made(9, n) for n in range(1, 400)]
    give(a, *some[:300])
    sets = a.machine.air(LINK).sync.sets
    assert sets.sketch(2, 7) is None and sets.growing()
    for one in some[300:]:  # while it grows, on both sides of where it is
        a.hear(0, onair.pack(one, True))
        a.machine.air(LINK)._checks.milli += 2000
        if one.seq % 20 == 0:
            sets.grow()
    a.machine.command(0, effects.GONE, 2, [(one.hlc, one.id) for one in some[:10]], 0)
    while sets.growing():
        sets.grow()
    give(b, *some[10:])
    other = b.machine.air(LINK).sync.sets
    while other.sketch(2, 7) is None:
        other.grow()
    assert sets.sketch(2, 7).to_bytes() == other.sketch(2, 7).to_bytes()
    assert len(a.store) == 399


def test_an_ask_for_nobody_or_an_unknown_epoch_is_nothing() -> None:
    a = Radio(1)
    give(a, made(9, 1))
    a.run(0, 5 * MINUTE)
    epoch = UNIX_MS // 1000 >> 16
    to = beacon.node_of(a.machine.key)[:5]
    keys = beacon.Keys(KEY)
    a.hear(5 * MINUTE, airsets.pack_ask(2, epoch + 3, to, [1], keys))
    assert a.counters["drop.ask.epoch"] == 1
    a.hear(5 * MINUTE, airsets.pack_ask(2, epoch, b"other", [1], keys))
    a.hear(5 * MINUTE, airsets.pack_ask(2, epoch, to, [1], keys))
    assert messages_in(a.run(5 * MINUTE, 6 * MINUTE)) == []


# --- objects


def test_a_long_message_goes_in_pieces_and_through_loss() -> None:
    a, b, c = Radio(1), Radio(2), Radio(3)
    rng = Rng(3)
    a.post(0, rng.bytes(700).hex())
    together([a, b, c], 0, 20 * MINUTE, lambda _, sender, heard: rng.chance(1, 5) or {sender, heard} == {a, c})
    assert set(b.store) == set(c.store) == set(a.store) and len(a.store) == 1
    assert b.counters["radio.objects"] == c.counters["radio.objects"] == 1


def test_an_alert_goes_between_two_pieces() -> None:
    a = Radio(1)
    a.post(0, Rng(3).bytes(700).hex())
    a.machine.tick(1000)
    a.step(1000)
    assert a.sent.pop()[1][0] == objects.PIECE_KIND
    a.post(1001, "fire", lane=0, type=message.NOTE)
    a.machine.tick(2000)
    a.step(2000)
    assert [lane for lane, _ in a.sent] == [0]
