"""Real GGUF models with random weights, made on the spot: the same bytes every time, of any size.

They compute like a model of their size and say nothing: what load, streaming, cancelling and memory need is there, and
no text that somebody could take for an answer. The vocabulary is the printable ASCII characters and the 256 bytes; only
characters ever win, the end of the text never does. Needs numpy and the gguf package (extra `dev`).
"""

from __future__ import annotations

import os

from tools.bench.figures import NotHere

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CONTEXT = 2048
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|{{ message['role'] }}|>\n{{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
TINY = (2, 64, 128)  # layers, width, feed-forward width: 127 KB
SMALL = (4, 288, 768)  # 5 MB
LARGE = (12, 768, 1728)  # 81 MB
_SPECIAL = ("<unk>", "<s>", "</s>", "<|user|>", "<|assistant|>", "<|system|>")
_UNKNOWN, _CONTROL, _NORMAL, _BYTE = 2, 3, 1, 6  # token types, llama.h


def write(path: str, shape: tuple[int, int, int] = TINY, *, seed: int = 1, template: str | None = TEMPLATE,
          full: bool = False, name: str = "random") -> str:
    """Write a llama model of this shape to `path`, weights in Q8_0 (full: F16); gives the path."""
    try:
        import gguf
        import numpy as np
    except ImportError as error:
        raise NotHere(f"it takes the package {error.name} to make a model: pip install 'waypost[dev]'") from None
    layers, width, feed = shape
    heads = max(1, width // 32 // 2)
    random = np.random.default_rng(seed)
    tokens, scores, types = _vocabulary()
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(name)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(width)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(feed)
    writer.add_head_count(heads)
    writer.add_head_count_kv(heads)
    writer.add_rope_dimension_count(width // heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16 if full else gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types(types)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_space_prefix(False)
    if template is not None:
        writer.add_chat_template(template)

    def matrix(tensor: str, rows: int, columns: int, keep: Any = None) -> None:
        values = random.standard_normal((rows, columns), dtype=np.float32) / np.sqrt(columns)
        if keep is not None:
            values[~keep] = 0
        if full:
            writer.add_tensor(tensor, values.astype(np.float16))
        else:
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(tensor, gguf.quants.quantize(values, kind), raw_dtype=kind)

    def ones(tensor: str) -> None:
        writer.add_tensor(tensor, np.ones(width, dtype=np.float32))

    matrix("token_embd.weight", len(tokens), width)
    for layer in range(layers):
        block = f"blk.{layer}."
        ones(block + "attn_norm.weight")
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            matrix(f"{block}{part}.weight", width, width)
        ones(block + "ffn_norm.weight")
        matrix(block + "ffn_gate.weight", feed, width)
        matrix(block + "ffn_up.weight", feed, width)
        matrix(block + "ffn_down.weight", width, feed)
    ones("output_norm.weight")
    matrix("output.weight", len(tokens), width, np.array([kind == _NORMAL for kind in types]))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    os.chmod(path, 0o600)
    return path


def _vocabulary() -> tuple[list[str], list[float], list[int]]:
    tokens, types = list(_SPECIAL), [_UNKNOWN, *[_CONTROL] * (len(_SPECIAL) - 1)]
    tokens += [f"<0x{one:02X}>" for one in range(256)]
    types += [_BYTE] * 256
    letters = ["\u2581", *[chr(one) for one in range(33, 127)]]  # SentencePiece writes a space as U+2581
    tokens += letters
    types += [_NORMAL] * len(letters)
    return tokens, [0.0] * len(tokens), types
