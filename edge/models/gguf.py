"""The header of a GGUF file: what kind of model it is and how large it gets when it runs.

It reads names and numbers and skips the rest; it never allocates what a header claims, so that a file from anywhere can
be looked at. A file that is cut short, or whose parts do not lie within it, is refused with the place. Layout: GGUF
version 2 and 3 as llama.cpp writes them.
"""

from __future__ import annotations

import mmap
import os
import struct

from edge.errors import BadRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAGIC = b"GGUF"
VERSIONS = (2, 3)
PAIRS_MAX = 4096
TENSORS_MAX = 65536
NAME_BYTES_MAX = 1024
TEXT_BYTES_MAX = 1 << 20  # a chat template
ITEMS_MAX = 1 << 22  # of a vocabulary
DIMENSIONS_MAX = 4
LAYERS_MAX = 1024

_NUMBERS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_TEXT, _LIST = 8, 9
# (weights of a block, bytes of a block) of a tensor type, ggml.h; of a type that is newer only the beginning is checked
_BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 36),
    10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292), 16: (256, 66),
    17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82), 23: (256, 136),
    24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2), 34: (256, 54),
    35: (256, 66), 39: (32, 17),
}  # fmt: skip
# what a file's weights mostly are, by general.file_type (llama_ftype)
FILE_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S", 12: "Q3_K_M",
    13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS",
    21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S",
    29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4",
}  # fmt: skip
# architectures that read a text at once and give its meaning, not the next word
EMBEDDERS = ("bert", "nomic-bert", "nomic-bert-moe", "jina-bert-v2", "jina-bert-v3", "neo-bert", "modern-bert",
             "gemma-embedding")


def facts(path: str) -> dict[str, Any]:
    """What the header of the file at `path` says, as texts and integers.

    arch, name, type, params, bytes, layers, context (trained), width, feed, heads, vocab, cache_per_token (bytes of 16
    bit keys and values for one token of context), template (bool), pooling (0: none). Raises BadRequest; OSError is
    passed on.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size < 24:
            raise _bad("is too short to be a model", path)
        with mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as data:
            try:
                return _Reader(data, size, path).facts()
            except (struct.error, IndexError, OverflowError):
                raise _bad("ends in the middle of its header", path) from None


class _Reader:
    def __init__(self, data: mmap.mmap, size: int, path: str) -> None:
        self._data = data
        self._size = size
        self._path = path
        self._at = 0

    def facts(self) -> dict[str, Any]:
        if self._data[:4] != MAGIC:
            raise _bad("is no GGUF file", self._path, "take a model in GGUF form")
        self._at = 4
        version = self._number("<I")
        if version not in VERSIONS:
            raise _bad(f"is GGUF version {version}", self._path, f"versions {VERSIONS[0]} and {VERSIONS[1]} are read")
        tensors, pairs = self._number("<Q"), self._number("<Q")
        if pairs > PAIRS_MAX or not 0 < tensors <= TENSORS_MAX:
            raise _bad(f"claims {pairs} settings and {tensors} tensors", self._path)
        found: dict[str, Any] = {}
        for _ in range(pairs):
            name = self._text(NAME_BYTES_MAX)
            found[name] = self._value(self._number("<I"), name)
        params = self._tensors(tensors, int(found.get("general.alignment", 32)))
        return self._summary(found, params)

    def _summary(self, found: dict[str, Any], params: int) -> dict[str, Any]:
        arch = found.get("general.architecture")
        if not isinstance(arch, str) or not arch:
            raise _bad("does not name its architecture", self._path)

        def number(name: str, default: int = 0) -> int:
            value = found.get(f"{arch}.{name}", default)
            return max(value) if isinstance(value, list) else int(value)

        width, layers = number("embedding_length"), number("block_count")
        heads = max(1, number("attention.head_count", 1))
        if not 0 < layers <= LAYERS_MAX or not 0 < width <= 1 << 20:
            raise _bad(f"claims {layers} layers, {width} wide", self._path)
        per_head = width // heads
        ahead = found.get(f"{arch}.attention.head_count_kv", heads)
        shared = sum(ahead) if isinstance(ahead, list) else int(ahead) * layers
        lengths = number("attention.key_length", per_head) + number("attention.value_length", per_head)
        tokens = found.get("tokenizer.ggml.tokens", 0)
        return {
            "arch": arch, "name": _clean(found.get("general.name", "")), "bytes": self._size, "params": params,
            "type": FILE_TYPES.get(found.get("general.file_type", -1), "mixed"), "layers": layers, "width": width,
            "feed": number("feed_forward_length"), "heads": heads, "context": number("context_length", 512),
            "vocab": tokens if isinstance(tokens, int) else 0, "cache_per_token": 2 * shared * lengths,
            "template": bool(found.get("tokenizer.chat_template")), "pooling": number("pooling_type"),
        }

    def _tensors(self, count: int, alignment: int) -> int:
        """Check that every tensor lies within the file; gives how many weights there are."""
        if not 8 <= alignment <= 1 << 16 or alignment & (alignment - 1):
            raise _bad(f"claims an alignment of {alignment}", self._path)
        ends = params = 0
        for _ in range(count):
            name = self._text(NAME_BYTES_MAX)
            dimensions = self._number("<I")
            if not 0 < dimensions <= DIMENSIONS_MAX:
                raise _bad(f"tensor {_clean(name)} has {dimensions} dimensions", self._path)
            weights = 1
            for _ in range(dimensions):
                weights *= self._number("<Q")
            kind, offset = self._number("<I"), self._number("<Q")
            block, block_bytes = _BLOCKS.get(kind, (1, 0))
            params += weights
            ends = max(ends, offset + weights // block * block_bytes)
        start = -(-self._at // alignment) * alignment
        if start + ends > self._size:
            raise _bad(f"is cut short: it has {self._size} bytes and needs {start + ends}", self._path,
                       "copy or fetch it again")
        return params

    def _value(self, kind: int, name: str) -> Any:
        """A number, a text; of a list of texts only the length, of a short list of numbers the list."""
        if kind == _TEXT:
            return self._text(TEXT_BYTES_MAX)
        if kind != _LIST:
            return self._number(self._form(kind, name))
        kind, count = self._number("<I"), self._number("<Q")
        if count > ITEMS_MAX:
            raise _bad(f"{_clean(name)} claims {count} items", self._path)
        if kind == _TEXT:
            for _ in range(count):
                self._skip(self._number("<Q"))
            return count
        form = self._form(kind, name)
        if count > LAYERS_MAX:
            self._skip(count * struct.calcsize(form))
            return count
        return [self._number(form) for _ in range(count)]

    def _form(self, kind: int, name: str) -> str:
        form = _NUMBERS.get(kind)
        if form is None:
            raise _bad(f"{_clean(name)} has a value of unknown type {kind}", self._path)
        return form

    def _number(self, form: str) -> Any:
        value = struct.unpack_from(form, self._data, self._at)[0]
        self._at += struct.calcsize(form)
        return value

    def _text(self, bytes_max: int) -> str:
        length = self._number("<Q")
        if length > bytes_max:
            raise _bad(f"holds a text of {length} bytes", self._path)
        start = self._at
        self._skip(length)
        return self._data[start:self._at].decode("utf-8", "replace")

    def _skip(self, length: int) -> None:
        self._at += length
        if self._at > self._size:
            raise IndexError


def _clean(value: object) -> str:
    text = value if isinstance(value, str) else ""
    return "".join(one for one in text if one.isprintable())[:80]


def _bad(text: str, path: str, hint: str = "") -> BadRequest:
    return BadRequest(text, where=path, allowed="a whole GGUF file" if not hint else "", hint=hint)
