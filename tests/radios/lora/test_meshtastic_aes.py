"""AES against the examples of FIPS 197 (appendix C) and NIST SP 800-38A (F.5)."""

from __future__ import annotations

import pytest

from radios.lora.meshtastic import aes

PLAIN = bytes.fromhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
                      "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710")
COUNTER = bytes.fromhex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff")
SP800_38A = {
    "F.5.1": ("2b7e151628aed2a6abf7158809cf4f3c",
              "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff"
              "5ae4df3edbd5d35e5b4f09020db03eab1e031dda2fbe03d1792170a0f3009cee"),
    "F.5.5": ("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
              "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5"
              "2b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6"),
}
FIPS_197 = {
    "C.1": ("000102030405060708090a0b0c0d0e0f", "69c4e0d86a7b0430d8cdb78070b4c55a"),
    "C.3": ("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", "8ea2b7ca516745bfeafc49904b496089"),
}


@pytest.mark.parametrize("section", FIPS_197)
def test_fips_197(section: str) -> None:
    key, expected = FIPS_197[section]
    block = bytes.fromhex("00112233445566778899aabbccddeeff")
    assert aes.encrypt_block(aes.expand(bytes.fromhex(key)), block).hex() == expected


@pytest.mark.parametrize("section", SP800_38A)
def test_sp800_38a(section: str) -> None:
    key, expected = SP800_38A[section]
    assert aes.ctr(bytes.fromhex(key), COUNTER, PLAIN).hex() == expected
    assert aes.ctr(bytes.fromhex(key), COUNTER, bytes.fromhex(expected)) == PLAIN
    for n in (0, 1, 15, 16, 17, 63):
        assert aes.ctr(bytes.fromhex(key), COUNTER, PLAIN[:n]).hex() == expected[: 2 * n]


def test_the_counter_wraps() -> None:
    key = bytes(16)
    ends = aes.ctr(key, b"\xff" * 16, bytes(32))
    assert ends[16:] == aes.ctr(key, bytes(16), bytes(16))


def test_misuse() -> None:
    with pytest.raises(ValueError, match="16 or 32"):
        aes.expand(bytes(24))
    with pytest.raises(ValueError, match="counter"):
        aes.ctr(bytes(16), bytes(12), b"x")
