"""Two and more nodes in one room: who connects, who stays, what is lost and found again; and phones. PROTOCOL 16."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from edge.core import limits
from radios.ble import beacon, fragments, gatt, page
from radios.ble import driver as driver_module
from radios.ble.stack import BleDown, Reason
from tests.radios.ble.kit import Hasty, Phone, Village, lower_first, village
from tests.radios.contract import Heard, identity
from tests.waiting import PATIENCE, until

LOW, HIGH = lower_first(1, 2)


def run(scenario: Callable[[Village], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        async with village() as place:
            await scenario(place)

    asyncio.run(whole())


class Holder(Heard):
    """An owner whose node holds sets that the test chooses."""

    def __init__(self) -> None:
        super().__init__()
        self.sets = b"\0" * 8
        self.condition, self.battery = 0, 255

    def presence(self, lanes: int) -> tuple[int, int, list[Any]]:
        return self.condition, self.battery, [[lane, 0, self.sets] for lane in range(3) if lanes & 1 << lane]


# --- who connects


def test_the_node_with_the_lower_number_connects() -> None:
    async def scenario(place: Village) -> None:
        high, heard_high = await place.node(HIGH)
        low, heard_low = await place.node(LOW)
        await heard_low.until(lambda: heard_low.peers)
        await heard_high.until(lambda: heard_high.peers)
        assert (low.status()["out"], low.status()["in"]) == (1, 0)
        assert (high.status()["out"], high.status()["in"]) == (0, 1)
        assert low.address(heard_low.only_peer()) == high._stack.radio.address
        assert "dials" not in high.counters

    run(scenario)


def test_the_other_one_connects_where_the_first_does_not() -> None:
    async def scenario(place: Village) -> None:
        low, heard_low = await place.node(LOW, out_max=0)
        high, heard_high = await place.node(HIGH)
        await heard_high.until(lambda: heard_high.peers)
        await heard_low.until(lambda: heard_low.peers)
        assert (high.status()["out"], low.status()["in"]) == (1, 1)

    run(scenario)


def test_a_node_that_nobody_can_find_finds_others() -> None:
    async def scenario(place: Village) -> None:
        low, heard_low = await place.node(LOW, in_max=0)
        high, heard_high = await place.node(HIGH)
        await heard_low.until(lambda: heard_low.peers)
        assert low._stack.adverts == []

    run(scenario)


def test_communities_do_not_meet() -> None:
    async def scenario(place: Village) -> None:
        ours, heard = await place.node(LOW, community=b"c" * 32)
        await place.node(HIGH, community=b"d" * 32)
        await place.node(3)
        friend, heard_friend = await place.node(4, community=b"c" * 32)
        await heard.until(lambda: heard.peers)
        await until(lambda: ours.counters.get("beacon.mac", 0) >= 2)
        assert heard.only_peer() == identity(4)[1]
        assert heard.members[heard.only_peer()] is True
        assert "session.community_key" not in ours.counters

    run(scenario)


def test_no_more_than_allowed_each_way() -> None:
    async def scenario(place: Village) -> None:
        first, *others = lower_first(*range(1, 7))
        out, heard = await place.node(first, out_max=2)
        for number in others:
            await place.node(number, out_max=0)
        await heard.until(lambda: len(heard.peers) == 2)
        await asyncio.sleep(0.3)
        assert len(heard.peers) == 2 and out.status()["out"] == 2

    run(scenario)


@pytest.mark.parametrize("limit", ["settings", "stack"])
def test_who_is_full_says_so_and_is_left_alone(limit: str) -> None:
    async def scenario(place: Village) -> None:
        *others, last = lower_first(*range(1, 5))
        full, heard = await place.node(last, in_max=1 if limit == "settings" else 3, out_max=0, start=False)
        if limit == "stack":
            full._stack.centrals_max = 1
        await full.start()
        drivers = [(await place.node(number, in_max=0))[0] for number in others]
        await heard.until(lambda: heard.peers)
        keys = beacon.Keys(None)
        await until(lambda: keys.unpack(full._stack.adverts[-1]).full)
        before = [driver.counters.get("dials", 0) for driver in drivers]
        await asyncio.sleep(0.5)
        assert [driver.counters.get("dials", 0) for driver in drivers] == before
        assert len(heard.peers) == 1

    run(scenario)


# --- meeting without connecting


class Brief(Hasty):
    """Sessions are idle at once, and nobody is met again without news."""

    idle_ms = 100
    meet_ms = 60000


def test_nodes_that_hold_the_same_meet_by_beacons_alone() -> None:
    """One place for a connection and two neighbours: who has nothing new gives way and is not connected to again,
    until it has something new."""

    async def scenario(place: Village) -> None:
        first, second, third = lower_first(1, 2, 3)
        owners = [Holder(), Holder(), Holder()]
        middle, _ = await place.node(first, owner=owners[0], pace=Brief(), out_max=1, in_max=0)
        await place.node(second, owner=owners[1], pace=Brief(), out_max=0)
        await owners[0].until(lambda: owners[0].peers)
        met = owners[0].only_peer()
        owners[2].sets = b"news    "
        await place.node(third, owner=owners[2], pace=Brief(), out_max=0)
        await owners[0].until(lambda: identity(third)[1] in owners[0].peers)
        assert met not in owners[0].peers and ("down", "ble", met, "idle") in owners[0].events
        await asyncio.sleep(0.5)
        assert middle.counters["dials"] == 2, "the second holds what it held when we parted"
        owners[1].sets = b"newer   "
        await owners[0].until(lambda: met in owners[0].peers)

    run(scenario)


def test_a_node_that_saves_power_connects_for_news_only() -> None:
    async def scenario(place: Village) -> None:
        owners = [Holder(), Holder()]
        owners[0].battery = 20
        low, _ = await place.node(LOW, owner=owners[0], pace=Brief())
        await place.node(HIGH, owner=owners[1], pace=Brief(), out_max=0)
        await owners[0].until(lambda: owners[0].peers)
        assert low.status()["duty"] == "saving"
        low._sessions[owners[0].only_peer()].close("idle")
        await owners[0].until(lambda: not owners[0].peers)
        await asyncio.sleep(0.5)
        assert low.counters["dials"] == 1
        owners[1].sets = b"news    "
        await owners[0].until(lambda: owners[0].peers)

    run(scenario)


def test_somebody_in_trouble_comes_first() -> None:
    async def scenario(place: Village) -> None:
        first, *others = lower_first(1, 2, 3, 4)
        owners = {number: Holder() for number in others}
        owners[others[2]].condition = 2
        for number in others:
            await place.node(number, owner=owners[number], out_max=0)
        heard = Holder()
        driver, _ = await place.node(first, owner=heard, start=False, pace=Brief())
        for number in others:  # heard in the opposite order
            node = beacon.node_of(identity(number)[1])
            one = beacon.Beacon(node, owners[number].condition, False, 0)
            driver._heard(f"address {number}", object(), beacon.Keys(None).pack(one), -50)
        assert [near.address for near in driver._targets()][0] == f"address {others[2]}"
        driver._near.nodes[f"address {others[1]}"].key = b"k" * 32
        assert [near.address for near in driver._targets()][:2] == [f"address {number}" for number in others[1:]]

    run(scenario)


# --- lost and found


def test_an_adapter_that_is_pulled_is_taken_up_again() -> None:
    async def scenario(place: Village) -> None:
        low, heard_low = await place.node(LOW)
        high, heard_high = await place.node(HIGH)
        await heard_low.until(lambda: heard_low.peers)
        await heard_high.until(lambda: heard_high.peers)
        low._stack.refuse = [BleDown(Reason.NO_ADAPTER) for _ in range(3)]
        low._stack.lose()
        await heard_low.until(lambda: "no_adapter" in heard_low.troubles)
        await heard_high.until(lambda: not heard_high.peers)
        assert not heard_low.peers and low.status()["state"] == "no_adapter"
        assert low.send(identity(HIGH)[1], 0, b"\x01") is False
        low._stack.radio.plug()
        await heard_low.until(lambda: heard_low.peers)
        assert not heard_low.troubles and low.status()["state"] == "up"
        assert low.counters["opened"] == 2
        await heard_high.until(lambda: heard_high.peers)

    run(scenario)


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_is_told_with_what_to_do_and_passes(reason: Reason) -> None:
    async def scenario(place: Village) -> None:
        heard = Heard()
        driver, _ = await place.node(1, owner=heard, start=False)
        driver._stack.refuse = [BleDown(reason, "the detail")] * 4
        await driver.start()
        await heard.until(lambda: reason.value in heard.troubles)
        said, todo = re.split("[:;]", heard.troubles[reason.value], maxsplit=1)
        assert said and todo and todo.endswith(" (the detail)")
        await heard.until(lambda: driver.status()["state"] == "up")
        assert not heard.troubles

    run(scenario)


def test_a_stack_that_can_not_serve_connects_all_the_same() -> None:
    async def scenario(place: Village) -> None:
        await place.node(HIGH, out_max=0)
        low, heard = await place.node(LOW, start=False)

        async def no_service(*_arguments: Any) -> None:
            raise BleDown(Reason.NO_PERIPHERAL)

        low._stack.serve = no_service
        await low.start()
        await heard.until(lambda: heard.peers)
        assert list(heard.troubles) == ["no_peripheral"]

    run(scenario)


def test_where_advertising_is_refused_it_connects_to_others_and_asks_again() -> None:
    async def scenario(place: Village) -> None:
        await place.node(HIGH, out_max=0)
        low, heard = await place.node(LOW, start=False)
        advertise, refused = low._stack.advertise, [BleDown(Reason.ADVERT_REFUSED, "0x0d")] * 3

        async def refuse(*arguments: Any) -> None:
            if refused:
                raise refused.pop()
            await advertise(*arguments)

        low._stack.advertise = refuse
        await low.start()
        await heard.until(lambda: "advert_refused" in heard.troubles)
        assert "CAP_NET_ADMIN (0x0d)" in heard.troubles["advert_refused"] and low.status()["state"] == "up"
        await until(lambda: heard.peers and low._stack.adverts and not heard.troubles)
        assert not refused
        assert low.counters["opened"] == 1 and "down.internal" not in low.counters

    run(scenario)


def test_what_is_lost_while_it_advertises_is_taken_up_again() -> None:
    async def scenario(place: Village) -> None:
        driver, heard = await place.node(1, start=False)
        advertise, lost = driver._stack.advertise, [BleDown(Reason.LOST)]

        async def lose(*arguments: Any) -> None:
            if lost:
                raise lost.pop()
            await advertise(*arguments)

        driver._stack.advertise = lose
        await driver.start()
        await until(lambda: driver._stack.adverts and not heard.troubles)
        assert driver.counters["down.lost"] == 1

    run(scenario)


def test_a_fault_of_ours_does_not_leave_the_radio_dead() -> None:
    async def scenario(place: Village) -> None:
        heard = Heard()
        driver, _ = await place.node(1, owner=heard, start=False)
        driver._stack.refuse = [KeyError("oh")]
        await driver.start()
        await heard.until(lambda: driver.status()["state"] == "up")
        assert driver.counters["down.internal"] == 1

    run(scenario)


def test_a_client_of_the_stack_that_swallows_a_cancellation_does_not_hold_up_the_end(
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver_module, "CANCEL_S", 0.05)

    async def scenario(place: Village) -> None:
        node, _ = await place.node(1)
        swallowed = []

        async def listen(_listener: Any) -> None:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                if swallowed:
                    raise
                swallowed.append(True)

        await until(lambda: node.status()["state"] == "up")
        node._listen = listen
        node._found.set()  # so that it listens anew
        await asyncio.sleep(0.1)
        async with asyncio.timeout(5 * PATIENCE):
            await node.stop()
        assert swallowed

    run(scenario)


def test_who_goes_out_of_reach_is_connected_to_again() -> None:
    async def scenario(place: Village) -> None:
        low, heard_low = await place.node(LOW)
        high, heard_high = await place.node(HIGH)
        await heard_high.until(lambda: heard_high.peers)
        place.air.cut(low._stack.radio.controller, next(iter(low._stack.radio.controller.le_connections)))
        await heard_high.until(lambda: not heard_high.peers)
        assert heard_high.events[-1][3] == "closed"
        await heard_high.until(lambda: heard_high.peers)
        await heard_low.until(lambda: heard_low.peers)

    run(scenario)


def test_who_is_silent_is_let_go() -> None:
    async def scenario(place: Village) -> None:
        pace = Hasty()
        pace.silent_ms = 300
        low, heard = await place.node(LOW, pace=pace)
        await place.node(HIGH, out_max=0)
        await heard.until(lambda: heard.peers)
        await heard.until(lambda: not heard.peers)
        assert low.counters["session.silent"] == 1

    run(scenario)


# --- what stacks do to notifications


def test_notifications_out_of_order_are_put_right_and_a_gap_ends_the_session() -> None:
    async def scenario(place: Village) -> None:
        pace = Hasty()
        pace.gap_ms = 200
        high, heard_high = await place.node(HIGH, pace=pace)
        low, heard_low = await place.node(LOW, pace=pace)
        await heard_low.until(lambda: heard_low.peers)
        await heard_high.until(lambda: heard_high.peers)
        session = low._sessions[heard_low.only_peer()]
        straight, kept = session._way.on_value, []

        def swapped(value: bytes) -> None:
            kept.append(value)
            if len(kept) == 3:
                for one in (kept[1], kept[2], kept[0]):
                    straight(one)
                kept.clear()

        session._way.on_value = swapped
        for n in range(9):
            assert high.send(heard_high.only_peer(), 2, bytes([2, n]) * 50)
        await heard_low.until(lambda: len(heard_low.frames) == 9)
        assert [frame[1] for frame in heard_low.frames] == list(range(9))
        session._way.on_value = lambda value: value[0] & 3 == 0 or straight(value)
        for n in range(8):
            high.send(heard_high.only_peer(), 2, bytes([2, n]) * 50)
        await heard_low.until(lambda: not heard_low.peers)
        assert low.counters["ble.gap"] == 1
        await heard_low.until(lambda: heard_low.peers)

    run(scenario)


# --- beacons that lie


def test_a_beacon_in_another_name_is_found_out_and_left() -> None:
    async def scenario(place: Village) -> None:
        liar, _ = await place.node(HIGH, out_max=0)
        name = beacon.Beacon(b"\xff\xff", 0, False, 9)
        liar._beacon = lambda: beacon.Keys(None).pack(name)  # type: ignore[method-assign]
        low, heard = await place.node(LOW)
        await until(lambda: low.counters.get("beacon.lied"))
        await asyncio.sleep(0.4)
        assert low.counters["beacon.lied"] == 1 and not heard.peers

    run(scenario)


# --- phones


def test_a_phone_reads_the_page_in_an_open_community() -> None:
    async def scenario(place: Village) -> None:
        node, heard = await place.node(1)
        asked = []

        def page_of(link: str, peer: bytes, request: bytes, answer: Callable[[bytes], None]) -> None:
            asked.append((link, request))
            answer(b"200\n" + b"x" * 9000)

        heard.page = page_of
        phone = Phone(await place.radio(9))
        info = await phone.connect(node._stack.radio.address)
        assert info.key == identity(1)[1] and info.features == gatt.PAGE
        await phone.shake()
        await heard.until(lambda: heard.peers)
        assert phone.channel.key == identity(1)[1]
        await phone.say(bytes((0, page.PAGE, 0, 7, 1)) + b"GET /api/board")
        answer = b""
        while True:
            piece = await phone.hear()
            assert piece[:4] == bytes((0, page.PAGE, 0, 7))
            answer += piece[5:]
            if piece[4]:
                break
        assert answer == b"200\n" + b"x" * 9000 and asked == [("ble", b"GET /api/board")]
        await phone.hang_up()
        await heard.until(lambda: not heard.peers)

    run(scenario)


def test_a_guest_reads_the_page_of_a_closed_community_and_is_no_neighbour() -> None:
    async def scenario(place: Village) -> None:
        node, heard = await place.node(1, community=b"c" * 32)
        heard.page = lambda link, peer, request, answer: answer(b"200\n[]")
        phone = Phone(await place.radio(9))
        info = await phone.connect(node._stack.radio.address)
        assert info.features == gatt.CLOSED | gatt.PAGE
        await phone.shake()
        await phone.say(b"\x02 a frame")
        await phone.say(b"\x00\x09 a control of a later version")
        await phone.say(bytes((0, page.PAGE, 0, 1, 1)) + b"GET /api/board")
        assert await phone.hear() == bytes((0, page.PAGE, 0, 1, 1)) + b"200\n[]"
        assert node.counters["ble.guest"] == 1 and node.counters["guests"] == 1
        assert not heard.events and node.status()["in"] == 1
        await phone.hang_up()
        await until(lambda: node.status()["in"] == 0)

    run(scenario)


def test_no_page_no_guests() -> None:
    async def scenario(place: Village) -> None:
        node, heard = await place.node(1, community=b"c" * 32, page=False)
        phone = Phone(await place.radio(9))
        assert (await phone.connect(node._stack.radio.address)).features == gatt.CLOSED
        await phone.put(phone.channel.start())
        assert await phone.record() == bytes((2,)), "community_key"
        await phone.ended()
        await until(lambda: node.counters.get("session.community_key"))

    run(scenario)


def test_a_member_with_the_key_is_a_neighbour() -> None:
    async def scenario(place: Village) -> None:
        node, heard = await place.node(1, community=b"c" * 32)
        phone = Phone(await place.radio(9), community=b"c" * 32)
        await phone.connect(node._stack.radio.address)
        await phone.shake()
        await heard.until(lambda: heard.peers)
        assert heard.members[identity(99)[1]] is True
        assert node.send(heard.only_peer(), limits.LANE_COMMUNITY, b"\x02hello")
        assert await phone.hear() == b"\x02hello"

    run(scenario)


def test_the_smallest_mtu_carries_the_longest_frame() -> None:
    async def scenario(place: Village) -> None:
        low, heard_low = await place.node(LOW, mtu=23)
        high, heard_high = await place.node(HIGH, mtu=23)
        await heard_low.until(lambda: heard_low.peers)
        await heard_high.until(lambda: heard_high.peers)
        frame = bytes(range(256))[::-1] * (gatt.FRAME_BYTES_MAX // 256)
        assert high.send(heard_high.only_peer(), 2, frame) and low.send(heard_low.only_peer(), 2, frame)
        await heard_low.until(lambda: heard_low.frames)
        await heard_high.until(lambda: heard_high.frames)
        assert heard_low.frames == heard_high.frames == [frame]
        assert high._sessions[heard_high.only_peer()]._way.room_bytes == fragments.ROOM_BYTES_MIN

    run(scenario)
