"""Bad input for decoders: bytes cut short, lengthened, flipped, spliced; and the settings of quick property tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import settings

from edge.core.cbor import CodecError
from edge.core.rng import Rng

quick = settings(max_examples=60, deadline=None, derandomize=True, database=None)


def damaged(data: bytes, rng: Rng, n: int) -> Iterator[bytes]:
    """`n` mutants of `data`, then every truncation of it (at most 200) and a few tails."""
    for _ in range(n):
        mutant = bytearray(data)
        for _ in range(1 + rng.below(3)):
            at = rng.below(len(mutant)) if mutant else 0
            kind = rng.below(6)
            if kind == 0:
                mutant[at:at + 1] = bytes([rng.below(256)])
            elif kind == 1:
                mutant[at:at + 1] = bytes([(mutant[at] if mutant else 0) ^ (1 << rng.below(8))])
            elif kind == 2:
                mutant[at:at + 1 + rng.below(8)] = b""
            elif kind == 3:
                mutant[at:at] = rng.bytes(1 + rng.below(8))
            elif kind == 4:
                mutant[at:at] = mutant[rng.below(at + 1):at]
            else:
                mutant[at:at + 9] = bytes([(0x1B, 0x5B, 0x7B, 0x9B, 0xBB)[rng.below(5)]]) + b"\xff" * rng.below(9)
        yield bytes(mutant)
    for size in range(0, len(data), 1 + len(data) // 200):
        yield data[:size]
    for tail in (b"\x00", b"\xff", data, rng.bytes(100)):
        yield data + tail


def reason_of(decode: Callable[[Any], Any], data: Any) -> str:
    """The reason under which `decode` refuses `data`."""
    with pytest.raises(CodecError) as caught:
        decode(data)
    return caught.value.reason


def survives(decode: Callable[[bytes], Any], good: list[bytes], n: int, seed: int = 1) -> dict[str, int]:
    """Feed mutants of `good` to `decode`: only CodecError may come out. Gives the reasons with their counts."""
    rng = Rng(seed)
    reasons: dict[str, int] = {}
    for data in good:
        for mutant in damaged(data, rng, n):
            try:
                decode(mutant)
            except CodecError as error:
                assert error.reason, mutant.hex()
                reasons[error.reason] = reasons.get(error.reason, 0) + 1
            except Exception as error:
                pytest.fail(f"{type(error).__name__}: {error} from {mutant.hex()}")
    return reasons
