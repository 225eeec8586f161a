"""How alerts look to people on a terminal."""

from __future__ import annotations

from tools.cli_show import ago, clean, when

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_HERE = {True: "for this place", False: "not for this place", None: "may be for this place (set alerts.position)"}


def alert_lines(row: dict[str, Any]) -> list[str]:
    """One row of alert.list."""
    word = "OFFICIAL" if row["official"] else "neighbour's report, not official"
    if row["status"] != "Actual":
        word = f"{row['status'].upper()}, {word}"
    ended = "" if row["state"] == "stands" else f"  {row['state'].upper()} by {row['by'][:16]}"
    said = row["texts"][0]
    lines = [f"{row['id'][:16]}  {word}  {when(row['time_ms'])}  until {when(row['expires_s'] * 1000)}{ended}",
             f"  {clean(said.get('headline') or said.get('event') or '(no text)')}"]
    if row["kind"] == "cancel":
        return [*lines, f"  cancels {' '.join(row['references'])}; by {row['author'][:16]}"]
    lines.append(f"  {', '.join(row[name] for name in ('severity', 'urgency', 'certainty'))}; {_HERE[row['here']]}")
    if row["areas"]:
        lines.append("  for " + clean("; ".join(row["areas"])))
    for text in row["texts"]:
        if len(row["texts"]) > 1:
            lines.append(f"  [{clean(text.get('language', '?'))}] {clean(text.get('headline', ''))}")
        for name in ("instruction", "description"):
            if text.get(name):
                lines.append("  " + clean(text[name], multiline=True).replace("\n", "\n  "))
    by = clean(said.get("issuer", "")) or "node"
    lines.append(f"  by {by} ({row['author'][:16]}); {row['confirm']} confirm, {row['dispute']} dispute it")
    return lines


def person_lines(row: dict[str, Any], now_ms: int) -> list[str]:
    """One row of checkin.list."""
    head = f"{'NEEDS HELP' if row['state'] == 'help' else 'safe':<10}  {clean(row['name'])}"
    lines = [f"{head}  {ago(now_ms - row['time_ms'])} ago, at {clean(row['where']) or row['author'][:16]}"]
    if row["note"]:
        lines.append(f"{'':12}{clean(row['note'])}")
    for one in row["said"]:
        if one["state"] != row["state"]:
            lines.append(f"{'':12}but {'needs help' if one['state'] == 'help' else 'safe'}, says "
                         f"{clean(one['where']) or one['author'][:16]}, {ago(now_ms - one['time_ms'])} ago")
    return lines
