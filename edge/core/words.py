"""Names as people type them, compared: small letters and figures, one space between words. PROTOCOL 18.2.

The interpreters differ in what they call a letter, so it is said here: of ASCII, letters and figures; of what lies
beyond, all but the punctuation of U+0080 to U+00BF, U+2000 to U+206F and U+3000 to U+303F. Capitals of ASCII, Latin-1,
Greek and Cyrillic are taken as small ones.
"""

# (first, last, how far away the small ones are)
_CAPITALS = ((0x41, 0x5A, 0x20), (0xC0, 0xD6, 0x20), (0xD8, 0xDE, 0x20), (0x391, 0x3A9, 0x20), (0x400, 0x40F, 0x50),
             (0x410, 0x42F, 0x20))
_GAPS = ((0x00, 0x2F), (0x3A, 0x60), (0x7B, 0xBF), (0x2000, 0x206F), (0x3000, 0x303F))


def plain(text):
    """The words of a text, small, one space between them; "" where it has none."""
    out = []
    for letter in text:
        code = ord(letter)
        for first, last, far in _CAPITALS:
            if first <= code <= last:
                code += far
                break
        for first, last in _GAPS:
            if first <= code <= last:
                code = 0x20
                break
        if code != 0x20 or (out and out[-1] != " "):
            out.append(chr(code))
    return "".join(out).strip()


def stand_in(names, text):
    """Whether one of `names` (texts) is `text`, or stands in it as whole words."""
    text = " " + plain(text) + " "
    for name in names:
        words = plain(name)
        if words and " " + words + " " in text:
            return True
    return False
