"""The stock `openai` client against the node's /v1, with a real model behind it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest

from edge.bus.bus import Bus
from edge.services.models import ModelServices
from edge.web.server import WebServer
from tests.bus.joined import World
from tests.models.kit import Place, place, until
from tests.web.fakes import FakeBus, FakeNode

HELLO: list[Any] = [{"role": "user", "content": "hello"}]


class Served:
    """A node's page with a model, and clients of it."""

    def __init__(self, here: Place, bus: Bus, port: int) -> None:
        self.here = here
        self.bus = bus
        self.port = port
        self.client = openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0,
                                         http_client=openai.DefaultAsyncHttpxClient(trust_env=False))

    async def ask(self, line: str, body: Any = b"", *headers: str) -> tuple[int, str]:
        """Status and body of one request, made by hand."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        kind = () if isinstance(body, bytes) else ("Content-Type: application/json",)
        head = [line + " HTTP/1.1", "Host: localhost", f"Content-Length: {len(data)}", *kind, *headers]
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write("\r\n".join(head).encode() + b"\r\n\r\n" + data)
        answer = (await reader.read()).decode()
        writer.close()
        return int(answer.split()[1]), answer.partition("\r\n\r\n")[2]


@contextlib.asynccontextmanager
async def served(directory: Path, *paths: str, **settings: Any) -> AsyncIterator[Served]:
    world = World()
    async with place(directory, *paths, **settings) as here:
        bus = world.add("hall")
        ModelServices(bus, here.models).provide()
        server = WebServer(bus, FakeNode(FakeBus()), models_api=True)
        port = await server.start("127.0.0.1", 0)
        one = Served(here, bus, port)
        try:
            yield one
        finally:
            await one.client.close()
            await server.stop()
            await bus.close()


async def test_chat(tiny: str, tmp_path: Path) -> None:
    async with served(tmp_path, tiny) as node:
        done = await node.client.chat.completions.create(model="tiny", messages=HELLO, max_tokens=12, seed=7)
        text = done.choices[0].message.content
        assert text and len(text) == 12 and done.choices[0].finish_reason == "length" and done.model == "tiny"
        assert done.usage and done.usage.completion_tokens == 12 and done.usage.total_tokens > 12
        again = await node.client.chat.completions.create(
            model="local", messages=[{"role": "developer", "content": [{"type": "text", "text": "Be brief."}]}, *HELLO],
            max_completion_tokens=3, temperature=0, stop=["never"])
        assert again.usage and again.usage.completion_tokens == 3


async def test_chat_as_a_stream(small: str, tmp_path: Path) -> None:
    async with served(tmp_path, small) as node:
        whole = await node.client.chat.completions.create(model="local", messages=HELLO, max_tokens=200, seed=7)
        stream = await node.client.chat.completions.create(
            model="local", messages=HELLO, max_tokens=200, seed=7, stream=True, stream_options={"include_usage": True})
        chunks = [chunk async for chunk in stream]
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        assert text == whole.choices[0].message.content and len(chunks) > 5
        assert chunks[0].choices[0].delta.role == "assistant"
        assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "length"
        assert chunks[-1].usage and chunks[-1].usage.completion_tokens == 200
        assert {chunk.id for chunk in chunks} == {chunks[0].id}


async def test_a_form_of_the_answer(tiny: str, tmp_path: Path) -> None:
    async with served(tmp_path, tiny) as node:
        schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
        form: Any = {"type": "json_schema", "json_schema": {"name": "it", "schema": schema}}
        done = await node.client.chat.completions.create(model="local", messages=HELLO, response_format=form)
        assert type(json.loads(done.choices[0].message.content or "")["ok"]) is bool
        free = await node.client.chat.completions.create(
            model="local", messages=HELLO, extra_body={"grammar": 'root ::= "yes"'})
        assert free.choices[0].message.content == "yes" and free.choices[0].finish_reason == "stop"


async def test_completions(tiny: str, tmp_path: Path) -> None:
    async with served(tmp_path, tiny) as node:
        done = await node.client.completions.create(model="tiny", prompt="Once", max_tokens=8, seed=1)
        assert len(done.choices[0].text) == 8
        stream = await node.client.completions.create(model="tiny", prompt="Once", max_tokens=8, seed=1, stream=True)
        assert "".join([chunk.choices[0].text async for chunk in stream]) == done.choices[0].text


async def test_embeddings(tiny: str, tmp_path: Path) -> None:
    async with served(tmp_path, tiny) as node:
        one = await node.client.embeddings.create(model="local", input=["water", "fire"])  # asks for base64
        two = await node.client.embeddings.create(model="local", input="water", encoding_format="float")
        assert len(one.data) == 2 and len(one.data[0].embedding) == 64
        assert one.data[0].embedding == pytest.approx(two.data[0].embedding)
        assert one.usage.prompt_tokens == len("water") + len("fire") + 2


async def test_models(tiny: str, small: str, tmp_path: Path) -> None:
    async with served(tmp_path, tiny, small) as node:
        assert [model.id async for model in await node.client.models.list()] == ["small", "tiny"]
        assert (await node.client.models.retrieve("tiny")).id == "tiny"
        with pytest.raises(openai.NotFoundError):
            await node.client.models.retrieve("gpt-4o")


async def test_a_client_that_goes_away_frees_the_model(small: str, tmp_path: Path) -> None:
    async with served(tmp_path, small, context=2048) as node:
        stream = await node.client.chat.completions.create(model="local", messages=HELLO, max_tokens=4096, stream=True)
        await anext(aiter(stream))
        assert node.here.host.busy == 1
        await stream.close()
        await until(lambda: not node.here.host.busy)
        impatient = node.client.with_options(timeout=0.3)
        with pytest.raises(openai.APITimeoutError):
            await impatient.chat.completions.create(model="local", messages=HELLO, max_tokens=4096)
        await until(lambda: not node.here.host.busy)


@pytest.mark.parametrize(("body", "status", "where"), [
    ({"messages": HELLO, "model": "gpt-4o"}, 404, "model"), ({}, 400, "messages"), ({"messages": []}, 400, "messages"),
    ({"messages": HELLO, "n": 2}, 400, "n"), ({"messages": HELLO, "tools": [{}]}, 400, "tools"),
    ({"messages": HELLO, "temperature": 3}, 400, "temperature"),
    ({"messages": HELLO, "logprobs": True}, 400, "logprobs"),
    ({"messages": [{"role": "tool", "content": "x"}]}, 400, "messages"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, 400, "messages"),
    ({"messages": HELLO, "max_tokens": "many"}, 400, "max_tokens"),
    ({"messages": HELLO, "response_format": {"type": "xml"}}, 400, "response_format"),
    ({"messages": [{"role": "user", "content": "x" * 2000}], "stream": True}, 200, None),
])
async def test_refusals(tiny: str, tmp_path: Path, body: dict[str, Any], status: int, where: str | None) -> None:
    async with served(tmp_path, tiny) as node:
        code, text = await node.ask("POST /v1/chat/completions", body)
        assert code == status, text
        if status == 200:  # it had begun: the error is in the stream, where the client looks for it
            assert '"code":"bad_request"' in text and text.endswith("data: [DONE]\n\n")
            with pytest.raises(openai.APIError, match="takes .* tokens"):
                async for _ in await node.client.chat.completions.create(model="local", **body):
                    pass
            return
        error = json.loads(text)["error"]
        assert error["param"] == where and error["message"] and error["type"] == "invalid_request_error"


async def test_other_requests(tiny: str, tmp_path: Path) -> None:
    async with served(tmp_path, tiny) as node:
        for line, body, headers, status in (
            ("POST /v1/audio/speech", {}, (), 404), ("GET /v1/nothing", b"", (), 404),
            ("POST /v1/chat/completions", {"messages": HELLO}, ("Sec-Fetch-Site: cross-site",), 403),
            ("POST /v1/completions", b"x=1", (), 400),
            ("POST /v1/completions", b"{", ("Content-Type: application/json",), 400),
        ):
            code, text = await node.ask(line, body, *headers)
            assert code == status and json.loads(text)["error"]["message"], line


async def test_busy_is_said_so_that_clients_wait(small: str, tmp_path: Path) -> None:
    async with served(tmp_path, small, context=2048) as node:
        chats = node.client.chat.completions
        streams = [await chats.create(model="local", messages=HELLO, max_tokens=4096, stream=True) for _ in range(3)]
        with pytest.raises(openai.RateLimitError):
            await node.client.chat.completions.create(model="local", messages=HELLO)
        for stream in streams:
            await stream.close()
        await until(lambda: not node.here.host.busy)


async def test_without_models(tmp_path: Path) -> None:
    async with served(tmp_path) as node:
        with pytest.raises(openai.NotFoundError, match="no capability llm.chat"):
            await node.client.chat.completions.create(model="local", messages=HELLO)
        assert [model async for model in await node.client.models.list()] == []
        await asyncio.sleep(0)
