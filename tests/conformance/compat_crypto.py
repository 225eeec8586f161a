# heap: 128k
"""Hashing and crypto: the same bytes from every backend, the same refusals."""

from edge.compat import crypto, hashing, pure

seed = bytes(range(32))
public = crypto.public_key(seed)
print("public", public.hex(), pure.public_key(seed) == public)

for size in (0, 1, 63, 64, 111, 112, 186, 500):
    message = bytes(i & 255 for i in range(size))
    signature = crypto.sign(seed, message)
    print("sign", size, signature.hex())
    flipped = bytes([signature[0] ^ 1]) + signature[1:]
    print("verify", crypto.verify(public, message, signature), crypto.verify(public, message + b"x", signature),
          crypto.verify(public, message, flipped), crypto.verify(public, message, signature[:63]),
          crypto.verify(public[:31], message, signature))
    print("pure", pure.verify(public, message, signature), pure.verify(public, message, flipped))
    print("sha512", pure.sha512(message).hex())
    print("sha256", hashing.sha256(message).hex(), hashing.sha256(message, b"a", memoryview(b"b")).hex())
    print("hmac", hashing.hmac_sha256(message, b"key is the message", b"").hex())
print("hkdf", [key.hex() for key in hashing.hkdf(b"c" * 32, b"material", 3)])
print("same", hashing.same(b"ab", b"ab"), hashing.same(b"ab", b"aa"), hashing.same(b"", b"a"))

scalar = crypto.ed_seed_to_x(seed)
point = crypto.ed_public_to_x(public)
print("x25519", crypto.x25519_base(scalar) == point, crypto.x25519(scalar, point).hex())
box = crypto.aead_encrypt(seed, bytes(12), b"plaintext", b"ad")
print("aead", box.hex(), crypto.aead_decrypt(seed, bytes(12), box, b"ad"))
print(crypto.aead_decrypt(seed, bytes(12), box, b""), crypto.aead_decrypt(seed, bytes(12), box[:15], b"ad"))
print(crypto.aead_decrypt(seed, bytes(12), crypto.aead_encrypt(seed, bytes(12), b"", b""), b""))
sealed = crypto.seal(public, b"for you")
print("seal", len(sealed), crypto.unseal(seed, sealed), crypto.unseal(bytes(32), sealed), crypto.unseal(seed, b"short"))


def refusal(function, *arguments):
    try:
        function(*arguments)
    except ValueError as error:
        return str(error)
    return "none"


print(refusal(crypto.x25519, scalar, bytes(32)))
print(refusal(crypto.x25519, scalar, bytes(31)))
print(refusal(crypto.ed_public_to_x, bytes(32)))
print(refusal(crypto.seal, b"\xff" * 32, b""))
print(refusal(crypto.sign, b"short", b""))
print(refusal(crypto.aead_encrypt, b"short", bytes(12), b"", b""))
print(refusal(crypto.aead_decrypt, seed, bytes(11), bytes(16), b""))
print(refusal(hashing.hkdf, b"", b"", 9))
