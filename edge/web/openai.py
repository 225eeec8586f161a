"""The OpenAI-compatible API at /v1, for programs that speak it: chat completions, completions, embeddings, models.

It translates and decides nothing: a request becomes a call of llm.chat, llm.complete or embed.text with the rights of
whoever stands before the page, and what these refuse is refused in OpenAI's form. What this API knows and a local model
can't do (tools, images, several answers, log probabilities) is refused by name rather than left out. The model "local"
is the one that suits. Loaded by the first request that needs it.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import time
from array import array

from microdot.microdot import Request, Response

from edge.caller import PAGE
from edge.errors import BadRequest, BusError, NotFound, Unauthorized, WaypostError
from edge.web.guard import same_origin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Any

    from edge.ports import BusPort

DEADLINE_MS = 600_000
TOKENS_DEFAULT, TOKENS_MAX = 1024, 4096
ANY_MODEL = "local"
_SERVED = "llm.chat@1", "llm.complete@1", "embed.text@1"
_STATUS = {
    "bad_request": 400, "unauthorized": 403, "not_found": 404, "capacity_exceeded": 429, "rate_limited": 429,
    "schema_mismatch": 501, "unavailable": 503, "deadline_exceeded": 504,
}  # fmt: skip
_CANNOT = {
    "tools": "tools", "functions": "functions", "logit_bias": "logit_bias", "logprobs": "logprobs",
    "top_logprobs": "top_logprobs", "audio": "audio", "suffix": "suffix", "echo": "echo",
}
_MILLI = (("temperature", "temperature_milli"), ("top_p", "top_p_milli"), ("repeat_penalty", "repeat_milli"))
_KIND = "application/json; charset=UTF-8"


async def answer(bus: BusPort, request: Request) -> Response:
    """Answer a request below /v1."""
    path = request.path.removeprefix("/v1").rstrip("/")
    try:
        if request.method == "GET" and path.startswith("/models"):
            return _json(await _models(bus, path.removeprefix("/models").strip("/")))
        if request.method == "POST" and path in _POSTS:
            return await _POSTS[path](bus, request, _body(request))
        raise NotFound(f"there is no {request.method} {request.path} here",
                       allowed="/v1/chat/completions, /v1/completions, /v1/embeddings, /v1/models")
    except WaypostError as error:
        return _json(_error(error), _STATUS.get(error.code, 500))


async def _models(bus: BusPort, name: str) -> Any:
    rows = [{"id": row["name"], "object": "model", "created": 0, "owned_by": "waypost"}
            for row in await bus.call("models.list@1", caller=PAGE)]
    if not name:
        return {"object": "list", "data": rows}
    for row in rows:
        if row["id"] == name:
            return row
    raise NotFound(f'there is no model "{name}"', where="model", allowed=", ".join(row["id"] for row in rows))


async def _chat(bus: BusPort, request: Request, asked: dict[str, Any]) -> Response:
    messages = asked.get("messages")
    if not isinstance(messages, list):
        raise BadRequest("messages is missing", where="messages", allowed="a list of messages")
    said = [one for one in map(_message, messages) if one["content"]]
    return await _write(bus, request, asked, _SERVED[0], {"messages": said}, _Chat(asked))


async def _complete(bus: BusPort, request: Request, asked: dict[str, Any]) -> Response:
    prompt = asked.get("prompt")
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if not isinstance(prompt, str):
        raise BadRequest("prompt must be one text", where="prompt")
    return await _write(bus, request, asked, _SERVED[1], {"prompt": prompt}, _Completion(asked))


async def _embed(bus: BusPort, request: Request, asked: dict[str, Any]) -> Response:
    texts = asked.get("input")
    texts = [texts] if isinstance(texts, str) else texts
    form = asked.get("encoding_format", "float")
    if form not in ("float", "base64"):
        raise BadRequest(f"encoding_format can't be {form!r:.20}", where="encoding_format", allowed="float or base64")
    params = {"texts": texts} | _model(asked)
    end = await _while_there(request, bus.call(_SERVED[2], params, caller=PAGE, deadline_ms=DEADLINE_MS))
    if asked.get("dimensions") not in (None, end["dimensions"]):
        raise BadRequest("the model gives vectors of one length only", where="dimensions",
                         allowed=str(end["dimensions"]))
    rows = [{"object": "embedding", "index": number, "embedding": _vector(one, form)}
            for number, one in enumerate(end["vectors"])]
    return _json({"object": "list", "data": rows, "model": end["model"],
                  "usage": {"prompt_tokens": end["tokens"], "total_tokens": end["tokens"]}})


_POSTS = {"/chat/completions": _chat, "/completions": _complete, "/embeddings": _embed}


class _Chat:
    """The form of a chat completion."""

    kind, name = "chat.completion", "chatcmpl"

    def __init__(self, asked: dict[str, Any]) -> None:
        self.id = f"{self.name}-{os.urandom(9).hex()}"
        self.created = int(time.time())
        options = asked.get("stream_options")
        self.tells_usage = isinstance(options, dict) and bool(options.get("include_usage"))

    def head(self, kind: str, model: str) -> dict[str, Any]:
        """What every object of one answer has."""
        return {"id": self.id, "object": kind, "created": self.created, "model": model}

    def piece(self, model: str) -> tuple[str, str]:
        """What stands before and behind the text in a chunk."""
        return self._around({"index": 0, "delta": {"content": "|"}, "finish_reason": None}, model)

    def first(self, model: str) -> dict[str, Any] | None:
        """The chunk that comes before all text."""
        choice = {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}
        return self.head(self.kind + ".chunk", model) | {"choices": [choice]}

    def last(self, model: str, reason: str) -> dict[str, Any]:
        """The chunk that says why it ended."""
        choice = {"index": 0, "delta": {}, "finish_reason": reason}
        return self.head(self.kind + ".chunk", model) | {"choices": [choice]}

    def whole(self, text: str, end: dict[str, Any]) -> dict[str, Any]:
        """The answer in one piece."""
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": end["reason"]}
        return self.head(self.kind, end["model"]) | {"choices": [choice], "usage": _usage(end)}

    def _around(self, choice: dict[str, Any], model: str) -> tuple[str, str]:
        before, _, behind = _dumps(self.head(self.kind + ".chunk", model) | {"choices": [choice]}).rpartition('"|"')
        return before, behind


class _Completion(_Chat):
    """The form of a plain completion, whose chunks are like the whole."""

    kind, name = "text_completion", "cmpl"

    def piece(self, model: str) -> tuple[str, str]:
        before, _, behind = _dumps(self._chunk(model, "|", None)).rpartition('"|"')
        return before, behind

    def first(self, model: str) -> dict[str, Any] | None:
        return None

    def last(self, model: str, reason: str) -> dict[str, Any]:
        return self._chunk(model, "", reason)

    def whole(self, text: str, end: dict[str, Any]) -> dict[str, Any]:
        return self._chunk(end["model"], text, end["reason"]) | {"usage": _usage(end)}

    def _chunk(self, model: str, text: str, reason: str | None) -> dict[str, Any]:
        choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": reason}
        return self.head(self.kind, model) | {"choices": [choice]}


async def _write(bus: BusPort, request: Request, asked: dict[str, Any], capability: str, params: dict[str, Any],
                 form: _Chat) -> Response:
    """Have a text written and answer with it, whole or as a stream."""
    items: Any = bus.stream(capability, params | _how(asked), caller=PAGE, deadline_ms=DEADLINE_MS)
    if not asked.get("stream"):
        return _json(await _while_there(request, _collect(items, form)))
    try:
        begun = await anext(items)  # what is refused at once still gets its status
    except BaseException:
        await items.aclose()
        raise
    stream: Any = _events(begun, items, form)
    return Response(stream, 200, {"Content-Type": "text/event-stream; charset=UTF-8", "Cache-Control": "no-store"})


async def _collect(items: Any, form: _Chat) -> dict[str, Any]:
    texts = []
    try:
        async for item in items:
            if "text" in item:
                texts.append(item["text"])
            elif "end" in item:
                return form.whole("".join(texts), item["end"])
    finally:
        await items.aclose()
    raise BusError("the model gave no answer")


async def _events(begun: dict[str, Any], items: Any, form: _Chat) -> AsyncIterator[bytes]:
    """The server-sent events of one answer. Until the model is known, nothing but comments is said."""
    model, before, behind = "", "", ""
    try:
        item: dict[str, Any] | None = begun
        while item is not None:
            if "state" in item:
                model = item.get("model", model)
                yield f": {item['state']} {item.get('before', '')}\n\n".encode()
            else:
                if not before:
                    before, behind = form.piece(model or ANY_MODEL)
                    first = form.first(model or ANY_MODEL)
                    if first is not None:
                        yield f"data: {_dumps(first)}\n\n".encode()
                if "text" in item:
                    yield f"data: {before}{_dumps(item['text'])}{behind}\n\n".encode()
                else:
                    yield _closing(form, item["end"]).encode()
            item = await anext(items, None)
    except BusError as error:
        yield f"data: {_dumps(_error(error))}\n\ndata: [DONE]\n\n".encode()
    finally:
        await items.aclose()


def _closing(form: _Chat, end: dict[str, Any]) -> str:
    said = f"data: {_dumps(form.last(end['model'], end['reason']))}\n\n"
    if form.tells_usage:
        usage = form.head(form.last("", "")["object"], end["model"]) | {"choices": [], "usage": _usage(end)}
        said += f"data: {_dumps(usage)}\n\n"
    return said + "data: [DONE]\n\n"


# --- what is asked


def _body(request: Request) -> dict[str, Any]:
    if not same_origin(request.headers):
        raise Unauthorized("pages of other sites can't use this node's models")
    if (request.content_type or "").partition(";")[0].strip().lower() != "application/json":
        raise BadRequest("the content type must be application/json")
    try:
        asked = json.loads(request.body or b"")
        if not isinstance(asked, dict):
            raise ValueError
    except (ValueError, RecursionError):
        raise BadRequest("the request is no JSON object") from None
    for name, what in _CANNOT.items():
        if asked.get(name):
            raise BadRequest(f"{what} can't be used with a local model", where=name)
    if asked.get("n") not in (None, 1) or asked.get("best_of") not in (None, 1):
        raise BadRequest("a local model gives one answer", where="n", allowed="1")
    return asked


def _message(given: Any) -> dict[str, str]:
    if not isinstance(given, dict):
        raise BadRequest("a message must be an object", where="messages")
    role, content = given.get("role"), given.get("content")
    if isinstance(content, list):
        if any(not isinstance(part, dict) or part.get("type") != "text" for part in content):
            raise BadRequest("a local model reads texts only", where="messages")
        content = "\n".join(str(part.get("text", "")) for part in content)
    return {"role": "system" if role == "developer" else str(role), "content": content or ""}


def _how(asked: dict[str, Any]) -> dict[str, Any]:
    """The settings of a call of ours for those of a request."""
    how = _model(asked)
    tokens = asked.get("max_completion_tokens") or asked.get("max_tokens") or TOKENS_DEFAULT
    how["max_tokens"] = min(tokens, TOKENS_MAX) if isinstance(tokens, int) else tokens
    for theirs, ours in _MILLI:
        value = asked.get(theirs)
        if value is not None:
            if not isinstance(value, int | float) or not 0 <= value <= 2:
                raise BadRequest(f"{theirs} can't be {value!r:.20}", where=theirs, allowed="0 to 2")
            how[ours] = round(value * 1000)
    stop = asked.get("stop")
    if stop:
        how["stop"] = [stop] if isinstance(stop, str) else stop
    if asked.get("seed") is not None:
        how["seed"] = asked["seed"] % (2**32 - 1) if isinstance(asked["seed"], int) else asked["seed"]
    if asked.get("grammar"):
        how["grammar"] = asked["grammar"]
    return how | _schema(asked.get("response_format"))


def _model(asked: dict[str, Any]) -> dict[str, Any]:
    model = asked.get("model")
    return {"model": model} if model and model != ANY_MODEL else {}


def _schema(wanted: Any) -> dict[str, str]:
    kind = wanted.get("type") if isinstance(wanted, dict) else wanted
    if kind in (None, "text"):
        return {}
    if kind == "json_object":
        return {"schema": '{"type": "object"}'}
    if kind == "json_schema" and isinstance(wanted.get("json_schema"), dict):
        return {"schema": _dumps(wanted["json_schema"].get("schema") or {"type": "object"})}
    raise BadRequest(f"response_format can't be {kind!r:.40}", where="response_format",
                     allowed="text, json_object or json_schema")


# --- what is answered


async def _while_there(request: Request, work: Any) -> Any:
    """The outcome of `work`; it is cancelled when the client goes away meanwhile."""
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait([task, gone], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise BusError("the client has gone")
    finally:
        for one in (task, gone):
            one.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _gone(request: Request) -> None:
    try:
        while True:
            await request.sock[0].readexactly(1)
    except (EOFError, ValueError, OSError):
        pass


def _usage(end: dict[str, Any]) -> dict[str, Any]:
    return {"prompt_tokens": end["prompt_tokens"], "completion_tokens": end["tokens"],
            "total_tokens": end["prompt_tokens"] + end["tokens"],
            "prompt_tokens_details": {"cached_tokens": end["reused_tokens"]}}


def _vector(data: bytes, form: str) -> Any:
    return base64.b64encode(data).decode() if form == "base64" else array("f", data).tolist()


def _error(error: WaypostError) -> dict[str, Any]:
    kind = "invalid_request_error" if _STATUS.get(error.code, 500) < 429 else "server_error"
    return {"error": {"message": str(error), "type": kind, "param": error.where or None, "code": error.code}}


def _json(value: Any, status: int = 200) -> Response:
    return Response(_dumps(value), status, {"Content-Type": _KIND})


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
