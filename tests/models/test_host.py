"""The line and the worker, with the real binding: streaming, cancelling, breaking, leaving."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from edge.errors import BadRequest, CapacityExceeded, NotFound, Unavailable
from edge.models import host as hosts
from edge.models import pipe
from edge.models import session as sessions
from tests.emulation import one_size
from tests.models.kit import ENDLESS, WAIT_S, Place, Said, begun, chat, place, until
from tools.bench import random_gguf


def gone(pid: int) -> bool:
    return not os.path.exists(f"/proc/{pid}")


async def test_streams_and_says_how_it_ended(tiny: str, tmp_path: Path) -> None:
    async with place(tmp_path, tiny) as here:
        said = await here.ask(chat())
        assert said.states == [{"state": "loading", "model": "tiny"}]
        assert len(said.text) == 20 and said.text.isascii()
        end = said.end
        assert end["reason"] == "length" and end["tokens"] == 20
        assert end["model"] == "tiny" and end["reused_tokens"] == 0
        again = await here.ask(chat())
        assert again.states == [] and again.text == said.text, "the same seed gives the same text"
        assert again.end["reused_tokens"] == again.end["prompt_tokens"] - 1, "all of the prompt was there"
        more = await here.ask(chat(max_tokens=5))
        assert said.text.startswith(more.text) and more.end["tokens"] == 5


async def test_text_comes_while_it_is_written(small: str, tmp_path: Path) -> None:
    async with place(tmp_path, small) as here:
        items = here.models.stream(chat(max_tokens=400), None)
        pieces, times = [], []
        async for item in items:
            if "text" in item:
                pieces.append(item["text"])
                times.append(time.monotonic())
        assert len(pieces) >= 4 and times[-1] - times[0] > 0.06, "in pieces, not at the end"


async def test_a_line_of_two_who_are_told_their_place(small: str, tmp_path: Path) -> None:
    async with place(tmp_path, small, context=2048) as here:
        first = here.models.stream(chat(**ENDLESS), None)
        await begun(first)
        waiting = [here.models.stream(chat(max_tokens=3), None) for _ in range(2)]
        assert [await anext(one) for one in waiting] == [
            {"state": "queued", "before": n, "model": "small"} for n in (1, 2)]
        with pytest.raises(CapacityExceeded, match="others wait already"):
            await here.ask(chat())
        rest = [asyncio.create_task(_rest(one)) for one in waiting]
        await asyncio.sleep(0)
        await first.aclose()
        async with asyncio.timeout(WAIT_S):
            ends = await asyncio.gather(*rest)
        assert [end[-1]["end"]["tokens"] for end in ends] == [3, 3]
        assert {"state": "queued", "before": 1, "model": "small"} in ends[1]
        assert here.host.busy == 0


async def test_who_waits_sees_signs_of_life(small: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts, "SIGN_S", 0.01)
    async with place(tmp_path, small, context=2048) as here:
        first = here.models.stream(chat(**ENDLESS), None)
        assert [await anext(first) for _ in range(2)] == [{"state": "loading", "model": "small"}] * 2
        await begun(first)
        second = here.models.stream(chat(max_tokens=3), None)
        assert [await anext(second) for _ in range(3)] == [{"state": "queued", "before": 1, "model": "small"}] * 3
        await first.aclose()
        assert (await Said().take(second)).end["tokens"] == 3


async def test_a_long_prompt_is_told_as_it_is_read(small: str, tmp_path: Path) -> None:
    async with place(tmp_path, small, context=2048) as here:
        assert [one["state"] for one in (await here.ask(chat())).states] == ["loading"], "a short one is not"
        said = await here.ask(chat("word " * 390))
        new = said.end["prompt_tokens"] - said.end["reused_tokens"]
        assert said.states[0] == {"state": "reading", "done": 0, "of": new, "model": "small"}
        told = [one["done"] for one in said.states]
        assert told == sorted(told) and all(one % 64 == 0 for one in told)


async def _rest(items: Any) -> list[dict[str, Any]]:
    return [item async for item in items]


async def test_cancel_while_it_writes_and_while_it_reads(small: str, tmp_path: Path) -> None:
    async with place(tmp_path, small, context=2048) as here:
        items = here.models.stream(chat(**ENDLESS), None)
        await begun(items)
        pid = here.pid
        await items.aclose()
        assert (await here.ask(chat())).end["reason"] == "length"
        long = chat("word " * 390)
        items = here.models.stream(long, None)
        task = asyncio.ensure_future(anext(items))
        await asyncio.sleep(0.03)  # in the middle of its prompt, most likely
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await items.aclose()
        assert (await here.ask(chat())).end["reason"] == "length"
        assert here.pid == pid, "the same worker all along"


async def test_what_was_computed_before_a_cancel_stays_and_is_right(small: str, tmp_path: Path) -> None:
    async with place(tmp_path, small, context=2048) as here:
        job = chat("word " * 390, temperature_milli=0)
        started_s = time.monotonic()
        alone = (await here.ask(job)).text
        took_s = time.monotonic() - started_s
        for number in range(40):
            other = await here.ask(chat(f"{number}"))  # nothing is left of the long prompt
            items = here.models.stream(job, None)
            task = asyncio.ensure_future(anext(items))
            await asyncio.sleep(took_s * (number % 20) / 20)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await items.aclose()
            said = await here.ask(job)
            assert said.text == alone
            if 64 <= said.end["reused_tokens"] < said.end["prompt_tokens"] - 1:
                break
        else:
            raise AssertionError("no cancel fell into the prompt")
        assert other.end["tokens"] == 20


async def test_killed_in_the_middle_of_an_answer(small: str, tmp_path: Path) -> None:
    async with place(tmp_path, small, context=2048) as here:
        items = here.models.stream(chat(**ENDLESS), None)
        await begun(items)
        killed_s = time.monotonic()
        os.kill(here.pid, signal.SIGKILL)
        with pytest.raises(CapacityExceeded, match="killed, most likely for want of memory"):
            async with asyncio.timeout(WAIT_S):
                async for _ in items:
                    pass
        assert time.monotonic() - killed_s < 1
        said = await here.ask(chat())
        assert said.states[0]["state"] == "loading" and said.end["tokens"] == 20
        assert any("broke" in text for _, text in here.log)


async def test_a_broken_worker_is_told_from_a_killed_one(small: str, tmp_path: Path) -> None:
    async with place(tmp_path, small, context=2048) as here:
        items = here.models.stream(chat(**ENDLESS), None)
        await begun(items)
        os.kill(here.pid, signal.SIGSEGV)
        with pytest.raises(Unavailable, match="by signal 11"):
            async for _ in items:
                pass


async def test_one_that_breaks_again_and_again_rests(small: str, tmp_path: Path,
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    async with place(tmp_path, small, context=2048) as here:
        for _ in range(hosts.BREAKS_MAX):
            items = here.models.stream(chat(**ENDLESS), None)
            await begun(items)
            os.kill(here.pid, signal.SIGSEGV)
            with pytest.raises(Unavailable):
                async for _ in items:
                    pass
            await until(lambda: here.host.session is None)
        with pytest.raises(Unavailable, match="broke 3 times in a row"):
            await here.ask(chat())
        monkeypatch.setattr(hosts, "REST_S", 0)
        assert (await here.ask(chat())).end["tokens"] == 20


async def test_a_silent_worker_is_ended(small: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "SILENT_S_MAX", 1.0)
    monkeypatch.setattr(sessions, "PING_S", 0.2)
    async with place(tmp_path, small, context=2048) as here:
        items = here.models.stream(chat(**ENDLESS), None)
        await begun(items)
        pid = here.pid
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(Unavailable, match="did not answer any more"):
            async with asyncio.timeout(WAIT_S):
                async for _ in items:
                    pass
        await until(lambda: gone(pid))
        assert (await here.ask(chat())).end["tokens"] == 20


async def test_a_long_computation_is_not_silence(small: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker answers in the middle of its computation, so one that is only slow is not taken for dead."""
    monkeypatch.setattr(sessions, "PING_S", 0.02)
    told: list[int] = []
    seen = sessions.Session._frame
    monkeypatch.setattr(sessions.Session, "_frame", lambda self, frame: (told.append(frame[0]), seen(self, frame)))
    async with place(tmp_path, small, context=2048) as here:
        said = await here.ask(chat("word " * 390, max_tokens=1))
        assert said.end["tokens"] == 1
    assert told[0] == pipe.READY and pipe.PONG in told[1:told.index(pipe.DONE)]


async def test_it_leaves_when_nobody_asks(tiny: str, tmp_path: Path) -> None:
    async with place(tmp_path, tiny, idle_s=0.2) as here:
        await here.ask(chat())
        pid = here.pid
        await until(lambda: gone(pid))
        assert here.host.session is None and here.models.rows()[0]["loaded"] is False
        assert (await here.ask(chat())).states[0]["state"] == "loading"


async def test_another_model_takes_the_place_of_the_first(tiny: str, small: str, tmp_path: Path) -> None:
    async with place(tmp_path, tiny, small) as here:
        assert (await here.ask(chat())).end["model"] == "small", "the largest that fits"
        first = here.pid
        assert (await here.ask(chat(), "tiny")).end["model"] == "tiny"
        assert gone(first) and here.pid != first
        assert (await here.ask(chat())).end["model"] == "tiny", "what is loaded already, where any will do"
        assert [(row["name"], row["loaded"]) for row in here.models.rows()] == [("small", False), ("tiny", True)]


@one_size
async def test_what_does_not_fit_is_refused_with_the_numbers(small: str, tiny: str, tmp_path: Path) -> None:
    async with place(tmp_path, small, memory_mb=50) as here:
        with pytest.raises(CapacityExceeded, match=r"small needs \d+ MB .*models.memory_mb leaves it 50 MB"):
            await here.ask(chat())
        here.add(tiny)
        here.settings["memory_mb"] = 54
        assert (await here.ask(chat())).end["model"] == "tiny", "the largest that fits"
        pid = here.pid
        with pytest.raises(CapacityExceeded, match="small needs"):
            await here.ask(chat(), "small")
        assert here.pid == pid, "a refusal costs the loaded model nothing"


@one_size
async def test_the_policy(tiny: str, small: str, tmp_path: Path) -> None:
    async with place(tmp_path, small, small_mb=1, context=2048) as here:
        items = here.models.stream(chat(**ENDLESS), None)
        await begun(items)
        pid = here.pid
        here.models.set_policy("small", "it is hot")
        with pytest.raises(Unavailable, match="only models up to 1 MB run now: it is hot"):
            async for _ in items:
                pass
        await until(lambda: gone(pid))
        with pytest.raises(Unavailable, match="it is hot"):
            await here.ask(chat())
        here.add(tiny)
        here.settings["threads"] = 2
        said = await here.ask(chat())
        assert said.end["model"] == "tiny" and here.models.session.facts["threads"] == 1  # type: ignore[union-attr]
        here.models.set_policy("none", "")
        with pytest.raises(Unavailable, match="models rest now"):
            await here.ask(chat())
        here.models.set_policy("full", "")
        assert (await here.ask(chat(), "small")).end["model"] == "small"
        assert here.models.session.facts["threads"] == min(2, os.cpu_count() or 1)  # type: ignore[union-attr]
        here.models.set_policy("small", "")
        await until(lambda: here.models.session is None)


@pytest.fixture
def odd(small: str, tmp_path: Path) -> str:
    """A whole file that lacks a part of the model."""
    data = bytearray(Path(small).read_bytes())
    at = data.index(b"blk.0.attn_q.weight")
    data[at:at + 19] = b"blk.0.nothing.weigh"
    (tmp_path / "odd.gguf").write_bytes(data)
    return str(tmp_path / "odd.gguf")


async def test_a_file_that_is_no_model_inside(odd: str, small: str, tmp_path: Path) -> None:
    async with place(tmp_path, odd, small) as here:
        with pytest.raises(Unavailable, match="can't be loaded"):
            await here.ask(chat(), "odd")
        assert (await here.ask(chat(), "small")).end["tokens"] == 20


async def test_who_is_not_there(tiny: str, tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        with pytest.raises(NotFound, match="no model that can do it"):
            await here.ask(chat())
        here.add(tiny)
        with pytest.raises(NotFound, match='no model "large"'):
            await here.ask(chat(), "large")
        with pytest.raises(NotFound, match="can't do that"):
            await here.ask({"do": "classify", "text": "x"}, "tiny")


async def test_the_loop_goes_on(small: str, tmp_path: Path) -> None:
    """Nothing that a job does holds up the node: the loop's longest gap while a model loads and writes."""
    async with place(tmp_path, small) as here:
        task = asyncio.create_task(here.ask(chat(max_tokens=300)))
        gaps, before = [], time.thread_time()
        while not task.done():
            await asyncio.sleep(0.001)
            now = time.thread_time()
            gaps.append(now - before)  # CPU of this thread: another process can't be the cause
            before = now
        assert max(gaps) < 0.02, f"{max(gaps) * 1000:.1f} ms"
        assert task.result().end["tokens"] == 300


async def test_prompt_too_long(tiny: str, tmp_path: Path) -> None:
    async with place(tmp_path, tiny, context=128) as here:
        with pytest.raises(BadRequest, match="has room for 128"):
            await here.ask(chat("x" * 200))
        said = await here.ask(chat("x" * 60, max_tokens=1000))
        assert said.end["reason"] == "length"
        assert said.end["prompt_tokens"] + said.end["tokens"] == 128, "up to the last place"


def test_random_models_are_the_same_every_time(tiny: str, tmp_path: Path) -> None:
    other = random_gguf.write(str(tmp_path / "other.gguf"))
    assert Path(other).read_bytes() == Path(tiny).read_bytes()
    assert isinstance(Place(tmp_path).models.able(), set)


async def test_a_worker_that_does_not_stop_when_it_is_told_to(tmp_path: Path, tiny: str,
                                                              monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers pings and goes on with a job that nobody wants: after two seconds it is ended."""
    monkeypatch.setattr(sessions, "CANCEL_S_MAX", 0.3)
    endless = "{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}"
    path = random_gguf.write(str(tmp_path / "endless.gguf"), template=endless)
    async with place(tmp_path, path, tiny) as here:
        items = here.models.stream(chat(), "endless")
        assert (await anext(items))["state"] == "loading"
        task = asyncio.ensure_future(anext(items))
        await until(lambda: here.host.session is not None and here.host.session.facts)
        pid = here.pid
        await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await items.aclose()
        await until(lambda: gone(pid))
        assert (await here.ask(chat(), "tiny")).end["tokens"] == 20
