"""The body of a CHECKIN: a person is safe, or needs help. PROTOCOL 19.

    {1: the person's name, 2: 1 safe or 2 needs help, ?3: a note, ?4: where}                                   lane 1

A name is what somebody typed: nothing proves it. Two of them are the same where edge.core.words.plain is.
"""

from edge.core import limits, words
from edge.core.cbor import CodecError

SAFE, HELP = 1, 2


def read(body):
    """(name, state, note, where) of a CHECKIN's body (dict). Raises CodecError("checkin.form")."""
    name, state, note, where = body.get(1), body.get(2), body.get(3, ""), body.get(4, "")
    if isinstance(state, bool) or state not in (SAFE, HELP):
        raise CodecError("checkin.form")
    for text, most in ((name, limits.CHECKIN_NAME_BYTES_MAX), (note, limits.CHECKIN_NOTE_BYTES_MAX),
                       (where, limits.CHECKIN_NAME_BYTES_MAX)):
        if not isinstance(text, str) or len(text.encode()) > most:
            raise CodecError("checkin.form")
    if not words.plain(name):
        raise CodecError("checkin.form")
    return name, state, note, where
