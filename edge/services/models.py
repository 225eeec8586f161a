"""Local models as capabilities: llm.chat, llm.complete, embed.text, classify, models.list, models.refresh.

What the installed models can do is offered, and nothing else; that changes with `refresh`. A model gets what its caller
sent and no more: it can call nothing, and what others wrote to this node is never put into a prompt here. Items of a
stream are maps: {"state": "queued", "before": n}, {"state": "loading"}, {"state": "reading", "done": n, "of": n}
(tokens of the prompt), each with "model" and again every ten seconds or so while it is so; {"text"} as it is written,
and at last {"end": {"reason", "model", "tokens", "prompt_tokens", "reused_tokens", "prompt_ms", "ms"}}.
"""

from __future__ import annotations

from edge.caller import ANCHOR, MEMBER
from edge.services import params
from edge.services.service import REQUIRED, Field, Service

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Any

    from edge.caller import Caller
    from edge.model_ports import ModelsPort
    from edge.ports import BusPort

MESSAGES_MAX = 64
PROMPT_BYTES_MAX = 24000
TOKENS_MAX = 4096
STOPS_MAX = 8
TEXTS_MAX = 64
SCHEMA_BYTES_MAX = 8192
MEDIA_BYTES_MAX = 4 << 20
ROLES = ("system", "user", "assistant")
_NAME_BYTES_MAX = 64


class ModelServices:
    """The handlers."""

    def __init__(self, bus: BusPort, models: ModelsPort) -> None:
        self._bus = bus
        self._models = models
        self._offered: set[str] = set()
        models.changed = self.refresh
        self._by_need = {
            "chat": Service("llm.chat", MEMBER, "continue a conversation with a local model", (
                messages_field(), *_writing()), self.chat, streams=True),
            "complete": Service("llm.complete", MEMBER, "continue a text with a local model", (
                params.text("prompt", PROMPT_BYTES_MAX, "the text", lines=True), *_writing()), self.complete,
                streams=True),
            "embed": Service("embed.text", MEMBER, "the vectors of texts: {model, dimensions, vectors, tokens, cut}; "
                             "each vector is 32-bit floats, little end first, of length 1", (
                                 _texts("texts", TEXTS_MAX, PROMPT_BYTES_MAX, "what is to be compared"), _model()),
                             self.embed),
            "classify": Service("classify", MEMBER, "which labels fit: {model, labels: [{label, milli}], ms}, the best "
                                "first", (
                                    _model(), params.text("text", PROMPT_BYTES_MAX, "for a model of texts", None,
                                                          lines=True),
                                    params.blob("media", MEDIA_BYTES_MAX, "an image (PNG, JPEG) or sound (WAV), for "
                                                "a model of such", None)), self.classify),
        }

    def services(self) -> list[Service]:
        """What this part may provide."""
        return [
            *self._by_need.values(),
            Service("models.list", MEMBER, "the models that are installed, and which one is loaded", (), self.list),
            Service("models.refresh", ANCHOR, "look again which models are installed, and offer what they can do", (),
                    self.looked_again),
        ]

    def provide(self) -> list[Service]:
        """Put on the bus what can be offered now; gives all of it for the documents."""
        services = self.services()
        for service in services[len(self._by_need):]:
            service.provide(self._bus)
        self.refresh()
        return services

    def refresh(self) -> None:
        """Offer what the installed models can do, and no longer what they can't."""
        able = self._models.able()
        for need, service in self._by_need.items():
            if need in able and need not in self._offered:
                service.provide(self._bus)
            elif need in self._offered and need not in able:
                self._bus.withdraw(service.name, service.version)
        self._offered = able

    def chat(self, caller: Caller, messages: list[dict[str, str]], model: str | None,
             **how: Any) -> AsyncIterator[dict[str, Any]]:
        return self._models.stream({"do": "chat", "messages": messages, **_given(how)}, model)

    def complete(self, caller: Caller, prompt: str, model: str | None, **how: Any) -> AsyncIterator[dict[str, Any]]:
        return self._models.stream({"do": "complete", "prompt": prompt, **_given(how)}, model)

    async def embed(self, caller: Caller, texts: list[str], model: str | None) -> Any:
        return await self._end({"do": "embed", "texts": texts}, model)

    async def classify(self, caller: Caller, text: str | None, media: bytes | None, model: str | None) -> Any:
        given = {"text": text} if media is None else {"media": media}
        return await self._end({"do": "classify", **given}, model)

    async def list(self, caller: Caller) -> list[dict[str, Any]]:
        return self._models.rows()

    async def looked_again(self, caller: Caller) -> dict[str, Any]:
        self.refresh()
        return {"models": len(self._models.rows()), "able": sorted(self._offered)}

    async def _end(self, job: dict[str, Any], model: str | None) -> Any:
        end = None
        items: Any = self._models.stream(job, model)
        try:
            async for item in items:
                end = item.get("end")
        finally:
            await items.aclose()
        return end


def _given(how: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in how.items() if value is not None}


def _model() -> Field:
    return params.text("model", _NAME_BYTES_MAX, "which one, by its name", None)


def _writing() -> tuple[Field, ...]:
    """How a text is to be written."""
    return (
        _model(),
        params.whole("max_tokens", 1, TOKENS_MAX, "how long the answer may get", 256),
        params.whole("temperature_milli", 0, 2000, "0: always the likeliest word; 1000: as the model has learned", 700),
        params.whole("top_p_milli", 1, 1000, "only the likeliest words that have this share together", 950),
        params.whole("repeat_milli", 1000, 2000, "how much less likely a word gets by having been said", 1100),
        params.whole("seed", 0, 2**32 - 2, "the same one gives the same text on the same machine", None),
        _texts("stop", STOPS_MAX, 512, "end before one of these", None),
        params.text("schema", SCHEMA_BYTES_MAX, "a JSON schema; the answer is JSON of that form", None, lines=True),
        params.text("grammar", SCHEMA_BYTES_MAX, "a GBNF grammar; the answer follows it", None, lines=True),
    )


def _texts(name: str, count_max: int, bytes_max: int, about: str, default: Any = REQUIRED) -> Field:
    """A list of texts, of so many bytes together."""
    inner = params.text(name, bytes_max, about, lines=True)

    def check(value: Any) -> list[str]:
        if not isinstance(value, list) or not 0 < len(value) <= count_max:
            raise ValueError(f"must be a list of 1..{count_max} texts")
        texts = [inner.check(one) for one in value]
        _bound(texts, bytes_max)
        return texts

    return Field(name, f"1..{count_max} texts, {bytes_max} bytes together", check, about, default)


def messages_field() -> Field:
    """A conversation."""
    inner = params.text("content", PROMPT_BYTES_MAX, "", lines=True)

    def check(value: Any) -> list[dict[str, str]]:
        if not isinstance(value, list) or not 0 < len(value) <= MESSAGES_MAX:
            raise ValueError(f"must be a list of 1..{MESSAGES_MAX} messages")
        said = []
        for number, one in enumerate(value, 1):
            if not isinstance(one, dict) or one.get("role") not in ROLES:
                raise ValueError(f"message {number} has no role")
            try:
                said.append({"role": one["role"], "content": inner.check(one.get("content"))})
            except ValueError as error:
                raise ValueError(f"the content of message {number} {error}") from None
        _bound([one["content"] for one in said], PROMPT_BYTES_MAX)
        return said

    one = f'{{"role": {" or ".join(ROLES)}, "content": text}}'
    allowed = f"1..{MESSAGES_MAX} of {one}, {PROMPT_BYTES_MAX} bytes together"
    return Field("messages", allowed, check, "the conversation, the oldest first")


def _bound(texts: list[str], bytes_max: int) -> None:
    size = sum(len(one.encode()) for one in texts)
    if size > bytes_max:
        raise ValueError(f"takes {size} bytes")
