"""edge.compat.crypto against RFC 8032, 7748, 8439 and PyNaCl's own layer; edge.compat.pure against libsodium."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys

import nacl.public
import nacl.signing
import pytest

from edge.compat import crypto, pure

# RFC 8032 7.1: seed, public key, message, signature
RFC8032 = [
    ("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
     "d25bf5f0595bbe24655141438e7a100b"),
    ("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
     "387b2eaeb4302aeeb00d291612bb0c00"),
    ("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
     "4a7c15e9716ed28dc027beceea1ec40a"),
]
ORDER = 2**252 + 27742317777372353535851937790883648493
# every encoding of a point of order 1, 2, 4 or 8 (RFC 7748 and libsodium's list), with and without the sign bit
SMALL = [
    "00" * 32, "01" + "00" * 31,
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]
BACKENDS = [crypto, pure]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("seed,public,message,signature", RFC8032)
def test_rfc8032(backend: object, seed: str, public: str, message: str, signature: str) -> None:
    key, data, mark = (bytes.fromhex(text) for text in (public, message, signature))
    assert backend.public_key(bytes.fromhex(seed)) == key
    assert crypto.sign(bytes.fromhex(seed), data) == mark
    assert backend.verify(key, data, mark)
    for i in (0, 31, 32, 63):
        assert not backend.verify(key, data, mark[:i] + bytes([mark[i] ^ 1]) + mark[i + 1:])
    assert not backend.verify(key, data + b"\0", mark)
    assert not backend.verify(bytes([key[0] ^ 1]) + key[1:], data, mark)


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_not_a_signature(backend: object) -> None:
    seed = bytes(range(32))
    public, message = crypto.public_key(seed), b"message"
    signature = crypto.sign(seed, message)
    scalar = int.from_bytes(signature[32:], "little")
    assert not backend.verify(public, message, signature[:32] + (scalar + ORDER).to_bytes(32, "little")), "S malleable"
    assert not backend.verify(public, message, signature[:-1])
    assert not backend.verify(public, message, signature + b"\0")
    assert not backend.verify(public[:-1], message, signature)
    assert not backend.verify(b"", message, b"")
    for text in SMALL:
        for sign in (0, 128):
            small = bytes.fromhex(text)
            small = small[:31] + bytes([small[31] | sign])
            for forged in (small + bytes(32), signature[:32] + bytes(32), signature):
                assert not backend.verify(small, message, forged), "a key of small order"
            assert not backend.verify(public, message, small + bytes(32)), "an R of small order"


def test_pure_agrees_with_libsodium() -> None:
    rng = random.Random(1)
    for _ in range(25):
        seed, message = rng.randbytes(32), rng.randbytes(rng.randrange(300))
        public, signature = crypto.public_key(seed), bytearray(crypto.sign(seed, message))
        assert pure.public_key(seed) == public
        assert pure.verify(public, message, bytes(signature))
        signature[rng.randrange(64)] ^= 1 << rng.randrange(8)
        assert pure.verify(public, message, bytes(signature)) == crypto.verify(public, message, bytes(signature))
        noise = rng.randbytes(32)
        assert pure.verify(noise, message, bytes(signature)) == crypto.verify(noise, message, bytes(signature))


def test_sha512() -> None:
    for size in (*range(0, 3), *range(110, 130), 239, 240, 1000):
        data = bytes(i & 255 for i in range(size))
        assert pure.sha512(data) == hashlib.sha512(data).digest()


def test_pure_refuses_secrets() -> None:
    for name in ("sign", "x25519", "x25519_base", "ed_seed_to_x", "aead_encrypt", "seal", "unseal"):
        with pytest.raises(NotImplementedError, match="libsodium"):
            getattr(pure, name)(bytes(32), b"")


def test_x25519() -> None:
    # RFC 7748 5.2, the last one after one iteration
    scalar = bytes.fromhex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4")
    point = bytes.fromhex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c")
    product = bytes.fromhex("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552")
    assert crypto.x25519(scalar, point) == product
    nine = b"\x09" + bytes(31)
    assert crypto.x25519_base(nine).hex() == "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"
    with pytest.raises(ValueError, match="low order"):
        crypto.x25519(scalar, bytes(32))
    with pytest.raises(ValueError, match="32 bytes"):
        crypto.x25519(scalar[:31], point)


def test_keys_convert_as_pynacl_does() -> None:
    seed = bytes(range(32))
    key = nacl.signing.SigningKey(seed)
    assert crypto.public_key(seed) == bytes(key.verify_key)
    assert crypto.ed_seed_to_x(seed) == bytes(key.to_curve25519_private_key())
    assert crypto.ed_public_to_x(bytes(key.verify_key)) == bytes(key.verify_key.to_curve25519_public_key())
    for bad in (bytes(32), b"\xff" * 32):
        with pytest.raises(ValueError):
            crypto.ed_public_to_x(bad)


def test_seal_meets_pynacl() -> None:
    seed = bytes(range(32))
    key = nacl.signing.SigningKey(seed).to_curve25519_private_key()
    assert nacl.public.SealedBox(key).decrypt(crypto.seal(crypto.public_key(seed), b"text")) == b"text"
    sealed = nacl.public.SealedBox(key.public_key).encrypt(b"text")
    assert crypto.unseal(seed, sealed) == b"text"
    assert crypto.unseal(seed, sealed[:-1] + b"\0") is None or sealed[-1] == 0
    assert crypto.unseal(seed, b"") is None
    assert crypto.unseal(seed, crypto.seal(crypto.public_key(seed), b"")) == b""


def test_aead_rfc8439() -> None:
    # RFC 8439 2.8.2
    key, nonce = bytes(range(0x80, 0xA0)), bytes.fromhex("070000004041424344454647")
    ad = bytes.fromhex("50515253c0c1c2c3c4c5c6c7")
    text = (b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
            b"sunscreen would be it.")
    box = crypto.aead_encrypt(key, nonce, text, ad)
    assert box[:16].hex() == "d31a8d34648e60db7b86afbc53ef7ec2"
    assert box[-16:].hex() == "1ae10b594f09e26a7e902ecbd0600691"
    assert crypto.aead_decrypt(key, nonce, box, ad) == text
    for wrong in (box[:-1], box[:-1] + bytes([box[-1] ^ 1]), b"", box[:15]):
        assert crypto.aead_decrypt(key, nonce, wrong, ad) is None
    assert crypto.aead_decrypt(key, nonce, box, b"") is None


def test_lengths_are_checked_before_c_sees_them() -> None:
    seed = bytes(32)
    for call in (lambda: crypto.sign(seed[:31], b""), lambda: crypto.public_key(seed + b"\0"),
                 lambda: crypto.sign(bytearray(32), b""), lambda: crypto.ed_public_to_x(seed[:31]),
                 lambda: crypto.x25519_base(seed[:31]), lambda: crypto.aead_encrypt(seed[:31], bytes(12), b"", b""),
                 lambda: crypto.aead_decrypt(seed, bytes(11), bytes(16), b""), lambda: crypto.ed_seed_to_x(b"")):
        with pytest.raises(ValueError, match="bytes"):
            call()


def test_neither_openssl_nor_pynacls_own_layer_is_loaded() -> None:
    """They would cost a node 4 and 2.5 MiB."""
    code = ("import sys\nfrom edge.compat import crypto, hashing\n"
            "print(*[m for m in ('_hashlib', 'hashlib', 'hmac', 'ssl', 'nacl.bindings') if m in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == ""
