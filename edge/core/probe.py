"""How well two nodes hear each other on a radio link: a probe, and the answer of each who heard it. PROTOCOL 15.8.

    probe    0e | nonce 4 | n u8 | node 8 | [tag 4]
    echo     0f | nonce 4 | n u8 | node 8 | hops u8 | -rssi u8 | snr i8, in quarters of a dB | [tag 4]

The nonce is of one test, n counts its probes; an echo repeats both and says how the probe was heard. These are the
forms only; who asks, and who answers how often, is for the shell.
"""

from edge.core.beacon import NODE_BYTES
from edge.core.cbor import CodecError

PROBE_KIND = 0x0E
ECHO_KIND = 0x0F
NONCE_BYTES = 4

_UNKNOWN = 255  # hops
_SNR_UNKNOWN = -128


def pack_probe(nonce, n, node, keys):
    """The frame (bytes) of probe `n` (0..255) of a test. nonce: 4 bytes. node: the sender's 8. keys: beacon.Keys."""
    return keys.put_tag(bytes((PROBE_KIND,)) + nonce + bytes((n,)) + node)


def unpack_probe(data, keys):
    """(nonce, n, node). Raises CodecError, "probe.form" or "radio.tag"."""
    body = _body(data, PROBE_KIND, 0, keys)
    return body[1:1 + NONCE_BYTES], body[1 + NONCE_BYTES], body[-NODE_BYTES:]


def pack_echo(nonce, n, node, hops, rssi_dbm, snr_qdb, keys):
    """The answer to a probe. node: who answers. hops: 0 heard directly. Each of the last three may be None: unknown."""
    rssi = 0 if rssi_dbm is None else min(max(-rssi_dbm, 1), 255)
    snr = _SNR_UNKNOWN if snr_qdb is None else min(max(snr_qdb, _SNR_UNKNOWN + 1), 127)
    heard = bytes((_UNKNOWN if hops is None else min(hops, _UNKNOWN - 1), rssi, snr & 255))
    return keys.put_tag(bytes((ECHO_KIND,)) + nonce + bytes((n,)) + node + heard)


def unpack_echo(data, keys):
    """(nonce, n, node, hops, rssi_dbm, snr_qdb). Raises CodecError, "probe.form" or "radio.tag"."""
    body = _body(data, ECHO_KIND, 3, keys)
    at = 1 + NONCE_BYTES
    hops, rssi, snr = body[-3:]
    snr = snr - 256 if snr > 127 else snr
    return (body[1:at], body[at], body[at + 1:-3], None if hops == _UNKNOWN else hops, -rssi if rssi else None,
            None if snr == _SNR_UNKNOWN else snr)


def _body(data, kind, more, keys):
    if data[:1] != bytes((kind,)):
        raise CodecError("probe.form")
    body = keys.take_tag(data)
    if len(body) != 2 + NONCE_BYTES + NODE_BYTES + more:
        raise CodecError("probe.form")
    return body
