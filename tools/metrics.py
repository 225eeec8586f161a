"""The node's numbers as Prometheus text, for GET /metrics: counters, messages by lane, neighbours by link, store.

Names and small integers only: no keys, no texts, nothing that says who wrote to whom.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def text(status: dict[str, Any], peers: list[dict[str, Any]]) -> str:
    """The exposition of one `status()` and `peers()` of the node."""
    lines = ["# TYPE waypost_up_seconds gauge", f"waypost_up_seconds {status['up_s']}",
             "# TYPE waypost_outbox gauge", f"waypost_outbox {status['outbox']}",
             "# TYPE waypost_troubles gauge", f"waypost_troubles {len(status['trouble'])}",
             "# TYPE waypost_messages gauge"]
    lines += [f'waypost_messages{{lane="{lane}"}} {count}' for lane, count in status["messages"]]
    links = dict.fromkeys(status["links"], 0)
    for peer in peers:
        links[peer["link"]] = links.get(peer["link"], 0) + 1
    lines.append("# TYPE waypost_neighbours gauge")
    lines += [f'waypost_neighbours{{link="{_label(link)}"}} {count}' for link, count in sorted(links.items())]
    lines.append("# TYPE waypost_events_total counter")
    lines += [f'waypost_events_total{{name="{_label(name)}"}} {count}' for name, count in status["counters"].items()]
    lines.append("# TYPE waypost_store gauge")
    lines += [f'waypost_store{{name="{_label(name)}"}} {value}' for name, value in sorted(status["store"].items())
              if isinstance(value, int) and not isinstance(value, bool)]
    return "\n".join(lines) + "\n"


def _label(name: str) -> str:
    return "".join(one if one.isalnum() or one in "._-" else "_" for one in name)
