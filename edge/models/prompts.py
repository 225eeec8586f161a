"""From messages to a prompt, from tokens to text: what the worker does beside computing.

A chat template comes with the model file: it is rendered in jinja2's sandbox, with a bound on what it may write, and a
model without one gets a plain transcript. Text is handed on when it has waited a moment, so that a quick model does
not flood the pipe, and never in the middle of a letter or of what may become a stop text.
"""

from __future__ import annotations

import codecs
import time

from edge.models.engine import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

GATHER_S = 0.02  # text of so long goes in one piece
PROMPT_CHARS_MAX = 1 << 20
_compiled: dict[str, Any] = {}


def prepare() -> None:
    """Load what rendering loads late: no file can be opened afterwards."""
    render("{% for m in messages %}{{ m['content'] | trim }}{% endfor %}{{ strftime_now('%d %b %Y') }}",
           [{"role": "user", "content": "x"}], "", "")
    try:
        render("{{ raise_exception('x') }}", [], "", "")
    except ValueError:
        pass
    grammar_of('{"type": "object", "properties": {"a": {"type": "string", "pattern": "^[a-z]+$"}}}')
    _compiled.clear()


def render(template: str, messages: list[dict[str, str]], begin: str, end: str) -> str:
    """The prompt of a conversation that the assistant is to continue. Raises ValueError with the template's words."""
    if not template:
        lines = [f"{one['role'].capitalize()}: {one['content'].strip()}\n" for one in messages]
        return "".join(lines) + "Assistant:"
    from jinja2 import TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def refuse(text: str) -> None:
        raise TemplateError(text)

    compiled = _compiled.get(template)
    try:
        if compiled is None:
            world = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True,
                                                  extensions=["jinja2.ext.loopcontrols"])
            compiled = _compiled[template] = world.from_string(template)
        parts, size = [], 0
        for part in compiled.generate(messages=messages, bos_token=begin, eos_token=end, add_generation_prompt=True,
                                      tools=None, raise_exception=refuse, strftime_now=time.strftime):
            parts.append(part)
            size += len(part)
            if size > PROMPT_CHARS_MAX:
                raise ValueError("it writes without end")
    except ValueError:
        raise
    except Exception as error:  # a foreign template may fail in any way
        raise ValueError(str(error)[:200]) from None
    return "".join(parts)


def grammar_of(schema: str) -> str:
    """The GBNF grammar of a JSON schema. Raises Refused."""
    from llama_cpp.llama_grammar import json_schema_to_gbnf

    try:
        return str(json_schema_to_gbnf(schema))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, AssertionError, IndexError) as error:
        raise Refused("bad_request", f"the JSON schema can't be used: {type(error).__name__} {str(error)[:100]}",
                      "take a simpler one") from None


class Text:
    """The text of one answer as it grows. stops: texts at which it ends, themselves left out."""

    def __init__(self, stops: Sequence[str], say: Callable[[str], None]) -> None:
        self._stops = tuple(stops)
        self._say = say
        self._letters = codecs.getincrementaldecoder("utf-8")("replace")
        self._waiting = ""
        self._said_s = 0.0

    def add(self, data: bytes) -> bool:
        """Some more bytes. True when a stop text has come."""
        self._waiting += self._letters.decode(data)
        if self._stops:
            at = min((self._waiting.find(stop) for stop in self._stops if stop in self._waiting), default=-1)
            if at >= 0:
                self._waiting = self._waiting[:at]
                return True
        now_s = time.monotonic()
        if now_s - self._said_s >= GATHER_S:
            ready = len(self._waiting) - self._kept_back()
            if ready:
                self._say(self._waiting[:ready])
                self._waiting = self._waiting[ready:]
                self._said_s = now_s
        return False

    def end(self) -> None:
        """Hand on what is left."""
        rest = self._waiting + self._letters.decode(b"", True)
        if rest:
            self._say(rest)

    def _kept_back(self) -> int:
        """Letters at the end that a stop text may begin with."""
        most = min(len(self._waiting), max((len(stop) for stop in self._stops), default=0) - 1)
        for length in range(most, 0, -1):
            if any(stop.startswith(self._waiting[-length:]) for stop in self._stops):
                return length
        return 0
