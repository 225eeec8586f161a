"""Noise XX: who is at the other end of a session, and the keys that only the two of you have.

Noise_XX_25519_ChaChaPoly_SHA256 (Noise specification revision 34), and with a community key Noise_XXpsk3 with a psk
derived from it. Sans-IO: bytes in, bytes out, the ephemeral key is handed in. The static key is the X25519 form of the
Ed25519 identity; each side names its Ed25519 key in its handshake payload and the other checks that it is the same.
Framing, deadlines and what a session is good for are the link's affair. docs/PROTOCOL.md section 7.

    prologue    "waypost link 1"
    message 1   -> e                     32 bytes (48 with a psk: an empty payload then carries its tag)
    message 2   <- e ee s es payload     32 + 48 + 41 + 16
    message 3   -> s se [psk] payload    48 + 41 + 16
    payload     version 1 | boot 8 | ed25519 key 32           longer ones are fine, the rest is for later versions
    afterwards  ChaChaPoly of each record, empty associated data, nonce = 4 zero bytes | counter u64 little-endian
"""

from edge.compat import crypto, hashing
from edge.core import community
from edge.core.cbor import CodecError

VERSION = 1
PROLOGUE = b"waypost link 1"
BOOT_BYTES = 8
TAG_BYTES = 16
HANDSHAKE_BYTES_MAX = 512
_PAYLOAD_BYTES = 1 + BOOT_BYTES + 32
_NONCE_MAX = 2**63  # far below the specification's 2^64 - 1, and never reached
_XX = (("e",), ("e", "ee", "s", "es"), ("s", "se"))
_XXPSK3 = (("e",), ("e", "ee", "s", "es"), ("s", "se", "psk"))


class Cipher:
    """One direction: a key and a counter (CipherState of the specification)."""

    def __init__(self, key):
        self._key = key
        self._nonce = 0

    def _next(self):
        nonce = self._nonce
        if nonce >= _NONCE_MAX:
            raise CodecError("noise.nonce_spent")
        self._nonce = nonce + 1
        return b"\x00\x00\x00\x00" + nonce.to_bytes(8, "little")

    def encrypt(self, plaintext, ad=b""):
        """The ciphertext, 16 bytes longer."""
        return crypto.aead_encrypt(self._key, self._next(), plaintext, ad)

    def decrypt(self, ciphertext, ad=b""):
        """The plaintext. Raises CodecError "noise.bad_tag" when it is not what the other side wrote next."""
        plaintext = None
        if len(ciphertext) >= TAG_BYTES:
            plaintext = crypto.aead_decrypt(self._key, self._next(), ciphertext, ad)
        if plaintext is None:
            raise CodecError("noise.bad_tag")
        return plaintext


class Handshake:
    """One side of an XX handshake, three messages in turn (HandshakeState and SymmetricState of the specification).

    static, ephemeral: X25519 private keys, 32 bytes; an ephemeral key serves one handshake. psk: 32 bytes or None.
    """

    def __init__(self, initiator, static, ephemeral, prologue=b"", psk=None):
        name = b"Noise_XX" + (b"" if psk is None else b"psk3") + b"_25519_ChaChaPoly_SHA256"
        self.hash = name + bytes(32 - len(name)) if len(name) <= 32 else hashing.sha256(name)
        self.initiator = initiator
        self.remote_static = None
        self.done = False
        self._chain = self.hash
        self._cipher = None
        self._static = static
        self._ephemeral = ephemeral
        self._remote_ephemeral = None
        self._psk = psk
        self._pattern = _XX if psk is None else _XXPSK3
        self._step = 0
        self._mix_hash(prologue)

    def my_turn(self):
        """Whether the next message is ours to write."""
        return not self.done and (self._step % 2 == 0) == self.initiator

    def write(self, payload=b""):
        """Our next message. Raises ValueError when it is not our turn."""
        if not self.my_turn():
            raise ValueError("not our turn in the handshake")
        out = b""
        for token in self._pattern[self._step]:
            if token == "e":
                public = crypto.x25519_base(self._ephemeral)
                self._mix_ephemeral(public)
                out += public
            elif token == "s":
                out += self._encrypt(crypto.x25519_base(self._static))
            else:
                self._mix(token)
        out += self._encrypt(payload)
        self._advance()
        return out

    def read(self, data):
        """The payload of the other side's next message.

        Raises CodecError: "noise.short", "noise.small_order", "noise.bad_tag", and "noise.psk" when all but the
        psk was right. After an error the handshake is spent.
        """
        if self.done or self.my_turn():
            raise ValueError("not their turn in the handshake")
        for token in self._pattern[self._step]:
            if token == "e":
                self._remote_ephemeral = self._part(data, 32)
                self._mix_ephemeral(self._remote_ephemeral)
                data = data[32:]
            elif token == "s":
                size = 32 + (TAG_BYTES if self._cipher is not None else 0)
                self.remote_static = self._decrypt(self._part(data, size))
                data = data[size:]
            else:
                self._mix(token)
        try:
            payload = self._decrypt(data)
        except CodecError:
            if self._pattern[self._step][-1] == "psk":
                raise CodecError("noise.psk")
            raise
        self._advance()
        return payload

    def split(self):
        """The two directions after the last message: (Cipher to send with, Cipher to receive with)."""
        if not self.done:
            raise ValueError("the handshake is not over")
        first, second = hashing.hkdf(self._chain, b"", 2)
        if self.initiator:
            return Cipher(first), Cipher(second)
        return Cipher(second), Cipher(first)

    def _part(self, data, size):
        if len(data) < size:
            raise CodecError("noise.short")
        return bytes(data[:size])

    def _advance(self):
        self._step += 1
        self.done = self._step == len(self._pattern)

    def _mix_hash(self, data):
        self.hash = hashing.sha256(self.hash, data)

    def _mix_key(self, material):
        self._chain, key = hashing.hkdf(self._chain, material, 2)
        self._cipher = Cipher(key)

    def _mix_ephemeral(self, public):
        self._mix_hash(public)
        if self._psk is not None:
            self._mix_key(public)  # specification 9.2

    def _mix(self, token):
        if token == "psk":
            self._chain, material, key = hashing.hkdf(self._chain, self._psk, 3)
            self._mix_hash(material)
            self._cipher = Cipher(key)
            return
        ours, theirs = (token[0], token[1]) if self.initiator else (token[1], token[0])
        private = self._ephemeral if ours == "e" else self._static
        public = self._remote_ephemeral if theirs == "e" else self.remote_static
        try:
            shared = crypto.x25519(private, public)
        except ValueError:
            raise CodecError("noise.small_order")
        self._mix_key(shared)

    def _encrypt(self, plaintext):
        out = plaintext if self._cipher is None else self._cipher.encrypt(plaintext, self.hash)
        self._mix_hash(out)
        return out

    def _decrypt(self, data):
        plaintext = bytes(data) if self._cipher is None else self._cipher.decrypt(data, self.hash)
        self._mix_hash(data)
        return plaintext


class Channel:
    """A session between two identities: the handshake with its payloads, then records. LAN and BLE use it alike.

    seed, public: our Ed25519 identity. boot: 8 random bytes drawn when this process started. ephemeral: 32 random
    bytes for this channel alone. community_key: 32 bytes or None; both sides must have the same.
    """

    def __init__(self, initiator, seed, public, boot, ephemeral, community_key=None):
        if len(boot) != BOOT_BYTES:
            raise ValueError("boot must be %d bytes, not %d" % (BOOT_BYTES, len(boot)))
        psk = None if community_key is None else community.derive(community_key, community.SESSION)
        self.up = False
        self.key = None  # the other side's Ed25519 key, once its payload was read and checked
        self.boot = None
        self.version = 0
        self._payload = bytes([VERSION]) + boot + public
        self._first_bytes = 32 if psk is None else 32 + TAG_BYTES
        self._first = not initiator
        self._handshake = Handshake(initiator, crypto.ed_seed_to_x(seed), ephemeral, PROLOGUE, psk)
        self._send = None
        self._receive = None

    def start(self):
        """The initiator's first message."""
        return self._handshake.write()

    def shake(self, data):
        """Take one handshake message; gives our answer, b"" when there is none. `up` tells when it is over.

        Raises CodecError; "noise.community_key" when the two sides don't hold the same one.
        """
        if len(data) > HANDSHAKE_BYTES_MAX:
            raise CodecError("noise.long")
        if self._first and len(data) != self._first_bytes:
            raise CodecError("noise.community_key" if len(data) in (32, 32 + TAG_BYTES) else "noise.not_handshake")
        try:
            payload = self._handshake.read(data)
        except CodecError as error:
            raise CodecError("noise.community_key" if error.reason == "noise.psk" else error.reason)
        if self._first:
            self._first = False
        else:
            self._identify(payload)
        out = b""
        if self._handshake.my_turn():
            out = self._handshake.write(self._payload)
        if self._handshake.done:
            self._send, self._receive = self._handshake.split()
            self._handshake = None
            self.up = True
        return out

    def seal(self, plaintext):
        """One record, 16 bytes longer."""
        return self._send.encrypt(plaintext)

    def open(self, record):
        """The plaintext of the other side's next record. Raises CodecError "noise.bad_tag"."""
        return self._receive.decrypt(record)

    def _identify(self, payload):
        if len(payload) < _PAYLOAD_BYTES:
            raise CodecError("noise.payload")
        key = payload[1 + BOOT_BYTES:_PAYLOAD_BYTES]
        try:
            static = crypto.ed_public_to_x(key)
        except ValueError:
            raise CodecError("noise.bad_key")
        if static != self._handshake.remote_static:
            raise CodecError("noise.wrong_key")
        self.version = payload[0]
        self.boot = payload[1:1 + BOOT_BYTES]
        self.key = key
