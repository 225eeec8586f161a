"""Probes before real sockets: what counts as an answer, who is asked, and that nobody else is."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core.rng import Rng
from edge.emergency import dns, probes, routes
from edge.emergency.probes import Probes
from tests.core.mutate import damaged, quick
from tests.emergency.name_server import HOST, NameServer
from tests.emergency.test_keeper import Stage, until
from tools.run_emergency import _places

NAME = "0123456789ab.empty.as112.arpa"


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "TRY_S", 0.2)
    monkeypatch.setattr(probes, "SOON_S", 0.02)
    monkeypatch.setattr(routes, "reading", lambda _poke: "answers")


def run(story: Callable[[Stage], Awaitable[None]]) -> None:
    async def main() -> None:
        stage = Stage()
        try:
            await story(stage)
        finally:
            if stage.keeper._alarm is not None:
                stage.keeper._alarm.cancel()
            await stage.bus.close()

    asyncio.run(main())


def made(stage: Stage, *servers: NameServer, connect: list[tuple[str, int]] | None = None,
         names: list[str] | None = None) -> Probes:
    return Probes(stage.keeper, names=["zone.example"] if names is None else names,
                  servers=[("127.0.0.1", one.port) for one in servers], connect=connect or [])


def read(stage: Stage) -> dict[str, str]:
    return dict((name, value) for _ms, name, value in stage.keeper.readings)


# --- the question and its answer


def test_a_question() -> None:
    data = dns.query(0x1234, "ab.example.")
    assert data.hex() == "1234010000010000000000000261620765" "78616d706c650000010001"
    for name in ("", "a..b", "x" * 64 + ".example", "y." * 127 + "toolong", "ä.example"):
        with pytest.raises(ValueError):
            dns.query(1, name)


@pytest.mark.parametrize(("mode", "good"), [("answers", True), ("servfail", False), ("refused", False)])
def test_what_an_answer_is_worth(mode: str, good: bool) -> None:
    server = NameServer(mode)
    asked = dns.query(7, NAME)
    answer = server.answer(asked, NAME)
    assert dns.is_answer(answer, 7, NAME) is good
    assert dns.is_answer(answer, 7, NAME.upper()) is good
    assert not dns.is_answer(answer, 8, NAME), "another question's answer"
    assert not dns.is_answer(answer, 7, "1123456789ab.empty.as112.arpa")
    assert not dns.is_answer(asked, 7, NAME), "our own question come back"


def test_addresses() -> None:
    server = NameServer()
    asked = dns.query(9, "host.example")
    answer = server.answer(asked, "host.example")
    assert dns.addresses(answer, 9, "host.example") == [HOST]
    assert dns.addresses(server.answer(dns.query(9, NAME), NAME), 9, NAME) == []


def test_damaged_answers_are_none() -> None:
    answer = NameServer().answer(dns.query(9, "host.example"), "host.example")
    for mutant in damaged(answer, Rng(1), 3000):
        dns.is_answer(mutant, 9, "host.example")
        assert all(one.count(".") == 3 for one in dns.addresses(mutant, 9, "host.example"))


@quick
@given(st.binary(max_size=600))
def test_any_bytes(data: bytes) -> None:
    assert dns.is_answer(data, 1, "a.b") in (True, False)
    dns.addresses(data, 1, "a.b")


# --- rounds


def test_a_name_server_that_answers() -> None:
    async def story(stage: Stage) -> None:
        server = await NameServer().start()
        one = made(stage, server)
        for _ in range(3):
            await one.round()
        server.stop()
        assert read(stage) == {"names": "answers", "tcp": "unknown", "gateway": "answers"}
        assert len(set(server.asked)) == 3, "a made-up name each time: no cache can answer"
        assert all(name.endswith(".zone.example") for name in server.asked)

    run(story)


@pytest.mark.parametrize("mode", ["servfail", "refused", "silent"])
def test_a_router_with_nothing_behind_it(mode: str) -> None:
    async def story(stage: Stage) -> None:
        server = await NameServer(mode).start()
        await made(stage, server).round()
        server.stop()
        assert read(stage)["names"] == "silent" and len(server.asked) == probes.TRIES

    run(story)


@pytest.mark.parametrize(("seen", "mode", "told"), [
    ("silent", "answers", ["answers"]),  # whatever the kernel thinks of the router
    ("no route", "answers", ["no route", "answers"]),
    ("silent", "silent", ["silent"]),
    ("no cable", "silent", ["no cable"]),
])
def test_a_cable_that_is_out_is_told_before_anybody_is_asked(monkeypatch: pytest.MonkeyPatch, seen: str, mode: str,
                                                            told: list[str]) -> None:
    async def story(stage: Stage) -> None:
        server = await NameServer(mode).start()
        await made(stage, server).round()
        server.stop()
        readings = [(name, value) for _ms, name, value in stage.keeper.readings]
        assert [value for name, value in readings if name == "gateway"] == told
        assert (readings[0] == ("gateway", seen)) == seen.startswith("no ")

    monkeypatch.setattr(routes, "reading", lambda _poke: seen)
    run(story)


def test_the_next_server_is_asked_and_remembered() -> None:
    async def story(stage: Stage) -> None:
        dead, good = await NameServer("silent").start(), await NameServer().start()
        one = made(stage, dead, good)
        await one.round()
        await one.round()
        dead.stop()
        good.stop()
        assert read(stage)["names"] == "answers"
        assert (len(dead.asked), len(good.asked)) == (1, 2)

    run(story)


def test_a_forged_answer_is_not_taken() -> None:
    """Another number, another name, the question itself: what a guesser on the way could send."""

    class Forger(NameServer):
        def answer(self, data: bytes, name: str) -> bytes:
            if len(self.asked) % 2:
                return bytes((data[0] ^ 1,)) + super().answer(data, name)[1:]
            return super().answer(data[:13] + b"zz" + data[15:], name)

    async def story(stage: Stage) -> None:
        server = await Forger().start()
        await made(stage, server).round()
        server.stop()
        assert read(stage)["names"] == "silent"

    run(story)


def test_this_machines_name_servers(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text("# nameserver 9.9.9.9\nsearch lan\nnameserver 192.0.2.1\nnameserver fe80::1%eth0\nnameserver bad\n"
                    "nameserver\n" + "nameserver 192.0.2.2\n" * 9)
    assert probes._servers_of(str(path)) == [("192.0.2.1", 53), ("fe80::1%eth0", 53)] + [("192.0.2.2", 53)] * 2
    assert probes._servers_of(str(tmp_path / "none")) == []

    async def story(stage: Stage) -> None:
        one = Probes(stage.keeper, names=["a.example"], servers=[], connect=[], resolv_conf=str(tmp_path / "none"))
        await one.round()
        assert read(stage)["names"] == "unknown"
        assert stage.keeper.machine._probe() == 1, "the router answers, and there is nothing beyond to ask"

    run(story)


def test_connections_by_our_own_look_up_and_a_literal_is_no_look_up() -> None:
    async def story(stage: Stage) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            server = await NameServer(host="127.0.0.1").start()
            one = made(stage, server, connect=[("host.example", port)], names=[])
            await one.round()
            assert read(stage) == {"names": "unknown", "tcp": "answers", "gateway": "answers"}
            assert server.asked == ["host.example"]
            server.mode = "silent"
            await one.round()
            assert read(stage)["tcp"] == "answers", "where it was when it was last found"
            literal = made(stage, server, connect=[("127.0.0.1", port)], names=[])
            asked = len(server.asked)
            await literal.round()
            assert read(stage) == {"names": "unknown", "tcp": "answers", "gateway": "answers"}
            assert len(server.asked) == asked
        await one.round()
        assert read(stage)["tcp"] == "silent"
        server.stop()

    run(story)


def test_nothing_but_what_is_set_is_contacted(monkeypatch: pytest.MonkeyPatch) -> None:
    contacted: list[Any] = []
    connect = socket.socket.connect

    def noted(sock: socket.socket, address: Any) -> None:
        contacted.append(address)
        connect(sock, address)

    async def story(stage: Stage) -> None:
        server = await NameServer("silent").start()
        monkeypatch.setattr(socket.socket, "connect", noted)
        monkeypatch.setattr(socket.socket, "sendto", lambda *_words: pytest.fail("something is sent elsewhere"))
        await made(stage, server).round()
        server.stop()
        assert contacted == [("127.0.0.1", server.port)] * probes.TRIES

    run(story)


def test_the_task_goes_on_and_looks_soon_while_nothing_is_settled() -> None:
    async def story(stage: Stage) -> None:
        server = await NameServer("servfail").start()
        one = made(stage, server)
        task = asyncio.create_task(one.work(lambda: None))
        await until(lambda: len(server.asked) >= 5 * probes.TRIES)
        stage.wait(30_000)
        assert stage.keeper.status()["reach"]["state"] == "offline"
        assert stage.keeper.machine.settled() and one._pause_s() == 30
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        server.stop()

    run(story)


def test_places() -> None:
    assert _places(["192.0.2.1", "[fd00::1]:5353", "ns.example:54", "fd00::2"], 53) == [
        ("192.0.2.1", 53), ("fd00::1", 5353), ("ns.example", 54), ("fd00::2", 53)]
    assert probes.is_literal("fe80::1%eth0") and not probes.is_literal("1.2.3") and not probes.is_literal("a.b")
