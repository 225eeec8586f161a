"""The child process that asks a paid model: reads one request as a line of JSON, writes lines of JSON, ends.

Run by edge/services/paid.py as a script with the standard library alone. It follows no redirect, so that the key goes
nowhere else, and says nothing of what the service sends beyond its text: an error is a status, never a page.
"""

from __future__ import annotations

import http.client
import json
import sys
from urllib.parse import urlsplit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ANSWER_BYTES_MAX = 1 << 20


def main() -> int:
    """One request. Whatever goes wrong is a line {"error": TEXT}."""
    try:
        ask(json.loads(sys.stdin.readline()))
    except (OSError, ValueError, KeyError, http.client.HTTPException) as error:
        tell({"error": f"{type(error).__name__}: {getattr(error, 'strerror', None) or 'no answer that can be read'}"})
    return 0


def ask(request: dict[str, Any]) -> None:
    """Send it and tell what comes back."""
    url = urlsplit(request["url"])
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    connection = kind(url.hostname or "", url.port, timeout=request["reply_s"])
    headers = {"Content-Type": "application/json", "Authorization": "Bearer " + request["key"],
               "Accept": "text/event-stream"}
    connection.request("POST", url.path, json.dumps(request["body"]), headers)
    answer = connection.getresponse()
    if answer.status != 200:
        tell({"error": f"status {answer.status}"})
        return
    model, tokens, taken = str(request["body"]["model"]), 0, 0
    while line := answer.readline(ANSWER_BYTES_MAX):
        taken += len(line)
        if taken > ANSWER_BYTES_MAX:
            break
        name, _, data = line.decode("utf-8", "replace").strip().partition(":")
        if name != "data" or data.strip() == "[DONE]":
            continue
        part = json.loads(data)
        model = str(part.get("model") or model)
        usage = part.get("usage") or {}
        tokens = usage["total_tokens"] if type(usage.get("total_tokens")) is int else tokens
        for choice in part.get("choices") or ():
            text = (choice.get("delta") or {}).get("content")
            if text:
                tell({"text": str(text)})
    tell({"end": {"model": model, "tokens": tokens}})


def tell(item: dict[str, Any]) -> None:
    """One line for the node."""
    sys.stdout.write(json.dumps(item) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
