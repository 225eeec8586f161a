"""The engine for GGUF models: llama.cpp through the C layer of llama-cpp-python. Runs in the worker only.

One model, one context, one job at a time. The tokens that a context holds are kept, so that a prompt that begins like
the one before costs only its rest. Whoever sets `stop` ends a job within one step of the computation, in the prompt
too. Of the package only the module with the C functions is loaded: the rest would bring numpy and 20 MB of memory.
Generated text may be anything; it is data for whoever asked, never a command.
"""

from __future__ import annotations

import ctypes
import importlib.util
import math
import os
import sys
import time
from array import array

from edge.models import prompts
from edge.models.engine import Cancelled, Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

BATCH = 64  # tokens of a prompt computed at once: what a cancel may have to wait for on a slow machine
READ_S = 1.0  # between two words on how much of it is computed
EMBED_TOKENS_MAX = 512
PIECE_BYTES = 256
PENALTY_TOKENS = 64
TOP_K = 40
_MEAN = 1  # pooling
_ABORTED = 2  # what llama_decode gives when it was stopped


def prepare() -> None:
    """Import what a job may need; afterwards the worker can open no file any more."""
    binding()
    for name in ("jinja2.sandbox", "jinja2.ext", "llama_cpp.llama_grammar", "encodings.idna"):
        importlib.import_module(name)
    prompts.prepare()


def binding() -> Any:
    """The module of C functions, without the package's own first lines."""
    if "llama_cpp" not in sys.modules:
        spec = importlib.util.find_spec("llama_cpp")
        if spec is None:
            raise ImportError("llama_cpp", name="llama_cpp")
        sys.modules["llama_cpp"] = importlib.util.module_from_spec(spec)
    c = importlib.import_module("llama_cpp.llama_cpp")
    folder = os.path.join(os.path.dirname(str(c.__file__)), "lib")
    ggml = ctypes.CDLL(os.path.join(folder, "libggml.so"))
    ggml.ggml_backend_dev_count.restype = ctypes.c_size_t
    if ggml.ggml_backend_dev_count() == 0:  # a build with kernels for several processors: it takes the best of them
        ggml.ggml_backend_load_all_from_path(folder.encode())
    return c


class Engine:
    """A loaded model. start: {"context", "threads", "embeds": bool, "repack": bool}; fd: the open file."""

    def __init__(self, fd: int, start: dict[str, Any]) -> None:
        self.stop = ctypes.create_string_buffer(2)
        self._c = c = binding()
        self._embeds = bool(start["embeds"])
        self._threads = start["threads"]
        self._log = c.llama_log_callback(lambda _level, _text, _data: None)
        c.llama_log_set(self._log, ctypes.c_void_p(0))
        c.llama_backend_init()
        self._model = self._load(fd, bool(start["repack"]))
        self._vocab = c.llama_model_get_vocab(self._model)
        self._limit = min(start["context"], max(1, c.llama_model_n_ctx_train(self._model)))
        self._context = None if self._embeds else self._new_context(self._limit, pooled=False)
        self._pooled: Any = None
        self._held: list[int] = []  # the tokens that the context has computed
        self._template = c.llama_model_chat_template(self._model, None)
        self._piece = ctypes.create_string_buffer(PIECE_BYTES)

    def facts(self) -> dict[str, Any]:
        """What it has become: {"context", "threads", "template"}."""
        return {"context": self._limit, "threads": self._threads, "template": bool(self._template)}

    def run(self, job: dict[str, Any], say: Callable[[str], None],
            read: Callable[[int, int], None]) -> dict[str, Any]:
        """Do one job; say(text) is handed the answer bit by bit, and read(n, of) before that from time to time how many
        tokens of a longer prompt are computed. Gives its facts. Raises Refused and Cancelled."""
        if job["do"] == "embed":
            return self._embed(job["texts"])
        if self._context is None:
            raise Refused("bad_request", "this model gives the meaning of a text and can't write one",
                          "ask for another model")
        if job["do"] == "chat":
            tokens = self._chat_tokens(job["messages"])
        else:
            tokens = self._tokens(job["prompt"], special=True)
        return self._write(tokens, job, say, read)

    # --- the model and its contexts

    def _load(self, fd: int, repack: bool) -> Any:
        c = self._c
        libc = ctypes.CDLL(None, use_errno=True)
        libc.fdopen.restype = ctypes.c_void_p
        file = libc.fdopen(fd, b"rb")
        params = c.llama_model_default_params()
        params.use_extra_bufts = repack  # a copy of the weights in the order that the processor likes best
        load = c._lib.llama_model_load_from_file_ptr
        load.argtypes, load.restype = [ctypes.c_void_p, c.llama_model_params], ctypes.c_void_p
        model = load(file, params)
        if not model:
            raise Refused("unavailable", "the model can't be loaded", "it may need a newer llama-cpp-python")
        return model

    def _new_context(self, n_tokens: int, *, pooled: bool) -> Any:
        c = self._c
        params = c.llama_context_default_params()
        params.n_ctx = n_tokens
        params.n_batch = params.n_ubatch = n_tokens if pooled else min(BATCH, n_tokens)
        params.n_threads = params.n_threads_batch = self._threads
        params.embeddings = pooled
        params.no_perf = True
        # strlen says 0 of an empty text and 1 of a letter: a stop flag that is asked without Python
        params.abort_callback = ctypes.cast(ctypes.CDLL(None).strlen, c.ggml_abort_callback)
        params.abort_callback_data = ctypes.addressof(self.stop)
        context = c.llama_init_from_model(self._model, params)
        if context and pooled and c.llama_pooling_type(context) == 0:
            c.llama_free(context)
            params.pooling_type = _MEAN
            context = c.llama_init_from_model(self._model, params)
        if not context:
            raise Refused("capacity_exceeded", f"there is no memory for a context of {n_tokens} tokens",
                          "lower models.context")
        return context

    # --- text to tokens and back

    def _tokens(self, text: str, *, special: bool, control: bool = False) -> list[int]:
        """special: begin as the model wants a text to begin. control: names of control tokens become these tokens."""
        c = self._c
        data = text.encode()
        room = len(data) + 8
        tokens = (c.llama_token * room)()
        count = c.llama_tokenize(self._vocab, data, len(data), tokens, room, special, control)
        if count < 0:
            raise Refused("bad_request", "the text can't be turned into tokens", "shorten it")
        return list(tokens[:count])

    def _chat_tokens(self, messages: list[dict[str, str]]) -> list[int]:
        c = self._c
        begin, end = (self._token_text(token) for token in (c.llama_vocab_bos(self._vocab),
                                                            c.llama_vocab_eos(self._vocab)))
        said = [{"role": one["role"], "content": self._defused(one["content"])} for one in messages]
        try:
            text = prompts.render((self._template or b"").decode("utf-8", "replace"), said, begin, end)
        except ValueError as error:
            raise Refused("bad_request", f"the model's chat template refuses these messages: {error}",
                          "user and assistant take turns; some models know no system message") from None
        begins = bool(begin) and text.startswith(begin)
        return self._tokens(text, special=not begins, control=True)

    def _defused(self, text: str) -> str:
        """What somebody wrote, with nothing in it that the model would read as the end of a message or a role."""
        for mark in ("", "<", "|", "[", "{", "\u2581"):
            text = text.replace(mark, mark + "\u200b") if mark else text
            if self._tokens(text, special=False) == self._tokens(text, special=False, control=True):
                return text
        raise Refused("bad_request", "a message holds control words of the model", "leave them out")

    def _token_text(self, token: int) -> str:
        text = self._c.llama_vocab_get_text(self._vocab, token) if token >= 0 else None
        return (text or b"").decode("utf-8", "replace")

    def _bytes_of(self, token: int) -> bytes:
        count = self._c.llama_token_to_piece(self._vocab, token, self._piece, PIECE_BYTES, 0, False)
        return self._piece.raw[:count] if count > 0 else b""

    # --- writing

    def _write(self, tokens: list[int], job: dict[str, Any], say: Callable[[str], None],
               read: Callable[[int, int], None]) -> dict[str, Any]:
        if len(tokens) >= self._limit:
            raise Refused("bad_request", f"the prompt takes {len(tokens)} tokens; this model has room for "
                          f"{self._limit} with the answer", "say less, or raise models.context")
        c = self._c
        sampler = self._sampler(job)
        start_s = time.monotonic()
        try:
            reused = self._reuse(tokens)
            self._compute(tokens[reused:], read)
            prompt_s = time.monotonic() - start_s
            text = prompts.Text(job.get("stop", ()), say)
            count, reason = 0, "length"
            one = (c.llama_token * 1)()
            while count < job["max_tokens"] and len(self._held) < self._limit:
                token = c.llama_sampler_sample(sampler, self._context, -1)
                if c.llama_vocab_is_eog(self._vocab, token):
                    reason = "stop"
                    break
                count += 1
                if text.add(self._bytes_of(token)):
                    reason = "stop"
                    break
                if count < job["max_tokens"]:
                    one[0] = token
                    self._step(one, 1)
                    self._held.append(token)
            text.end()
        finally:
            c.llama_sampler_free(sampler)
        whole_s = time.monotonic() - start_s
        return {"reason": reason, "prompt_tokens": len(tokens), "reused_tokens": reused, "tokens": count,
                "prompt_ms": int(prompt_s * 1000), "ms": int(whole_s * 1000)}

    def _reuse(self, tokens: list[int]) -> int:
        """How many tokens of the prompt the context holds already; it forgets what follows. The last is always left."""
        same = 0
        for held, wanted in zip(self._held, tokens[:-1], strict=False):
            if held != wanted:
                break
            same += 1
        return self._keep(same)

    def _keep(self, count: int) -> int:
        """Have the context forget all tokens after these; gives how many are left."""
        memory = self._c.llama_get_memory(self._context)
        if not self._c.llama_memory_seq_rm(memory, 0, count, -1):  # a recurrent model can't forget a part
            self._c.llama_memory_clear(memory, False)  # without its numbers, which nobody reads and are many megabytes
            count = 0
        del self._held[count:]
        return count

    def _compute(self, tokens: list[int], read: Callable[[int, int], None]) -> None:
        data = (self._c.llama_token * len(tokens))(*tokens)
        told_s = -READ_S
        for at in range(0, len(tokens), BATCH):
            if len(tokens) > BATCH and time.monotonic() - told_s >= READ_S:
                read(at, len(tokens))
                told_s = time.monotonic()
            part = tokens[at:at + BATCH]
            self._step(ctypes.cast(ctypes.byref(data, at * ctypes.sizeof(self._c.llama_token)),
                                   ctypes.POINTER(self._c.llama_token)), len(part))
            self._held += part

    def _step(self, tokens: Any, count: int) -> None:
        code = self._c.llama_decode(self._context, self._c.llama_batch_get_one(tokens, count))
        if code == 0:
            return
        self._keep(len(self._held))  # nothing of this step
        if code == _ABORTED:
            raise Cancelled
        raise Refused("unavailable", f"llama.cpp can't compute this (error {code})", "ask again, or for another model")

    def _sampler(self, job: dict[str, Any]) -> Any:
        c = self._c
        chain = c.llama_sampler_chain_init(c.llama_sampler_chain_default_params())
        grammar = job.get("grammar", "")
        if job.get("schema"):
            grammar = prompts.grammar_of(job["schema"])
        if grammar:
            part = c.llama_sampler_init_grammar(self._vocab, grammar.encode(), b"root")
            if not part:
                c.llama_sampler_free(chain)
                raise Refused("bad_request", "the grammar can't be read", "it is GBNF and begins at root")
            c.llama_sampler_chain_add(chain, part)
        temperature = job["temperature_milli"] / 1000
        parts = [c.llama_sampler_init_penalties(c.llama_vocab_n_tokens(self._vocab), PENALTY_TOKENS,
                                                job["repeat_milli"] / 1000, 0.0, 0.0)]
        if temperature <= 0:
            parts.append(c.llama_sampler_init_greedy())
        else:
            parts += [c.llama_sampler_init_top_k(TOP_K), c.llama_sampler_init_top_p(job["top_p_milli"] / 1000, 1),
                      c.llama_sampler_init_temp(temperature),
                      c.llama_sampler_init_dist(job.get("seed", c.LLAMA_DEFAULT_SEED))]
        for part in parts:
            c.llama_sampler_chain_add(chain, part)
        return chain

    # --- meaning

    def _embed(self, texts: list[str]) -> dict[str, Any]:
        """The vectors of some texts, each of length 1, as 32-bit floats, little end first."""
        c = self._c
        if self._pooled is None:
            trained = max(1, c.llama_model_n_ctx_train(self._model))
            self._pooled = self._new_context(min(EMBED_TOKENS_MAX, trained), pooled=True)
        room, dimensions = c.llama_n_ctx(self._pooled), c.llama_model_n_embd(self._model)
        vectors, count, cut = [], 0, 0
        for text in texts:
            tokens = self._tokens(text, special=True)
            cut += len(tokens) > room
            tokens = tokens[:room]
            count += len(tokens)
            vectors.append(self._vector(tokens, dimensions))
            if self.stop.raw[0]:
                raise Cancelled
        return {"dimensions": dimensions, "vectors": vectors, "tokens": count, "cut": cut}

    def _vector(self, tokens: list[int], dimensions: int) -> bytes:
        c = self._c
        memory = c.llama_get_memory(self._pooled)
        if memory:
            c.llama_memory_clear(memory, False)
        data = (c.llama_token * len(tokens))(*tokens)
        code = c.llama_decode(self._pooled, c.llama_batch_get_one(data, len(tokens)))
        if code == _ABORTED:
            raise Cancelled
        found = c.llama_get_embeddings_seq(self._pooled, 0) if code == 0 else None
        if not found:
            raise Refused("unavailable", f"the model gives no vector (error {code})", "take a model made for that")
        values = array("f", found[:dimensions])
        length = math.sqrt(sum(one * one for one in values)) or 1.0
        out = array("f", [one / length for one in values])
        if sys.byteorder == "big":
            out.byteswap()
        return out.tobytes()
