"""How the node's answers look to people: status, neighbours, messages, trace.

`status` and `top` show the same lines. Nothing here talks to the node or prints.
"""

from __future__ import annotations

import time

from tools.cli_show import LANES, QUALITIES, ago, clean, size, table, when
from tools.radio_view import link_line, state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def status_lines(facts: dict[str, Any]) -> list[str]:
    """`node.status` for people."""
    store = facts.get("store") or {}
    held = ", ".join(f"{count} {LANES[lane]}" for lane, count in facts.get("messages", []) if count) or "none"
    quality = facts.get("time_quality", 0)
    lines = [
        f"node      {facts['node']}",
        f"name      {clean(facts.get('name', ''))}",
        f"version   {facts.get('version') or '?'}, up {ago(facts.get('up_s', 0) * 1000)}",
        f"time      {when(facts['time_ms'])} ({QUALITIES[quality] if quality < 5 else quality})",
        f"peers     {facts.get('peers', 0)}",
        f"messages  {held}; outbox {facts.get('outbox', 0)}",
        f"store     {size(store.get('file_bytes', 0))} of {size(store.get('quota_bytes', 0))}",
    ]
    lines += emergency_lines(facts["emergency"]) if facts.get("emergency") else []
    for name, link in sorted((facts.get("links") or {}).items()):
        if "modem" in link:
            lines.append(f"link      {name}: {link_line(link)}")
            continue
        shown = ", ".join(f"{key} {clean(value)}" for key, value in link.items()
                          if key in ("port", "sessions", "community", "multicast", "mdns"))
        lines.append(f"link      {name}: {shown}")
    for one in facts.get("trouble", []):
        lines.append(f"TROUBLE   {one['part']}: {clean(one['text'])}")
    if not facts.get("trouble"):
        lines.append("trouble   none")
    return lines


def emergency_lines(facts: dict[str, Any]) -> list[str]:
    """The first lines of `emergency.status` for people: both states with their reasons, and whether it is stopped."""
    lines = []
    for name, title in (("condition", "condition"), ("reach", "internet")):
        one = facts[name]
        span = f", for {ago(one['for_s'] * 1000)}" if one["for_s"] is not None else ""
        lines.append(f"{title:<10}{one['state']}{span}: {clean(one['why'])}")
    return [*lines, f"stopped   {clean(facts['stopped']) or 'no'}"]


def peer_table(rows: list[dict[str, Any]]) -> str:
    """`peers.list` for people."""
    return table(("NODE", "NAME", "LINK", "MEMBER", "HEARD", "ADDRESS"), [
        (row["node"][:16], row.get("name", ""), row["link"], "yes" if row.get("member") else "no",
         ago(row.get("heard_s", 0) * 1000) + " ago", row.get("address", "")) for row in rows
    ])


def passage(row: dict[str, Any], number: int | None = None) -> str:
    """A passage of the library with where it comes from; what was asked for stands between stars."""
    place = " \u203a ".join(clean(one) for one in (row["title"], row["heading"]) if one)
    text, at, out = row["text"], 0, ""
    for start, end in row["marks"]:
        out += text[at:start] + "*" + text[start:end] + "*"
        at = end
    text = clean(out + text[at:], multiline=True).replace("\n", "\n  ")
    head = f"[{number}] {place}" if number is not None else place
    return f"{head}\n  {text}\n  ({clean(row['pack'])}: {clean(row['doc'])})"


def trace_line(row: dict[str, Any]) -> str:
    """One entry of the trace for people."""
    moment = time.strftime("%H:%M:%S", time.localtime(row["time_ms"] / 1000)) + f".{row['time_ms'] % 1000:03d}"
    facts = " ".join(f"{key}={_short(value)}" for key, value in row.items() if key not in ("n", "time_ms", "what"))
    return f"{moment} {row['what']:<9} {facts}"


def _short(value: Any) -> str:
    text = clean(value)
    is_key = len(text) == 64 and all(one in "0123456789abcdef" for one in text)
    return text[:16] if is_key else text


def row_head(row: dict[str, Any]) -> str:
    """The line above a message's text."""
    parts = [when(row["time_ms"]), row["author"][:16]]
    if row.get("name"):
        parts.append(f'"{clean(row["name"])}"')
    if row.get("to"):
        parts.append(f"to {row['to'][:16]}")
    if row.get("type") not in (1, 2):
        parts.append(f"type {row.get('type')}, lane {row.get('lane')}")
    if row.get("state") not in (None, "received"):
        parts.append(row["state"])
    parts += [f"{clean(one['link'])}: {state(one['state'], one['detail'])}" for one in row.get("radio", ())]
    if row.get("conflict"):
        parts.append("(its author's key is faulty)")
    if row.get("hint"):
        parts.append(_hint(row["hint"]))
    return "  ".join(parts)


def _hint(hint: dict[str, Any]) -> str:
    """What triage or a person says of a message, with the reason."""
    if hint["by"] == "person":
        name = f' says "{clean(hint["name"])}"' if hint.get("name") else " says a person"
        return ("CALL FOR HELP," if hint["urgent"] else "no call for help,") + name
    words = ["CALL FOR HELP"] if hint["urgent"] else []
    labels = [clean(one) for one in hint["labels"] if one != "urgent"]
    words += [" ".join(labels)] if labels else []
    why: dict[str, list[list[str]]] = hint.get("why") or {}
    said: list[list[str]] = next((why[one] for one in ("urgent", *hint["labels"]) if why.get(one)), [])
    return "[" + ": ".join(words) + "".join(f' "{clean(one[1])}"' for one in said[:1]) + "]"
