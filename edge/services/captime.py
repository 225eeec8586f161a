"""Times as CAP writes them, YYYY-MM-DDThh:mm:ss+hh:mm: read and written without the weight of datetime."""

from __future__ import annotations

import time

FORM = "YYYY-MM-DDThh:mm:ss+hh:mm"


def seconds(text: object) -> int | None:
    """Unix seconds of a time as CAP writes it, or None where it is none."""
    if not isinstance(text, str) or len(text) != len(FORM) or not text.isascii():
        return None
    digits = text[:4] + text[5:7] + text[8:10] + text[11:13] + text[14:16] + text[17:19] + text[20:22] + text[23:]
    if text[4] + text[7] + text[10] + text[13] + text[16] + text[22] != "--T:::" or not digits.isdigit():
        return None
    if text[19] not in "+-":
        return None
    year, month, day = int(text[:4]), int(text[5:7]), int(text[8:10])
    hour, minute, second, away = int(text[11:13]), int(text[14:16]), int(text[17:19]), int(text[20:22])
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    lengths = (31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
    if not (year >= 1970 and 1 <= month <= 12 and 1 <= day <= lengths[month - 1] and hour < 24 and minute < 60
            and second < 61 and away < 15 and int(text[23:]) < 60):
        return None
    days = (year - 1970) * 365 + (year - 1969) // 4 - (year - 1901) // 100 + (year - 1601) // 400
    days += sum(lengths[:month - 1]) + day - 1
    offset_s = (away * 60 + int(text[23:])) * 60
    return days * 86400 + hour * 3600 + minute * 60 + second - (offset_s if text[19] == "+" else -offset_s)


def text(unix_s: int) -> str:
    """A time in UTC; CAP writes its offset as -00:00."""
    return time.strftime("%Y-%m-%dT%H:%M:%S-00:00", time.gmtime(unix_s))
