"""Writes docs/CAPABILITIES.md and docs/ERRORS.md from the code, and the pages of the other docs_*.py beside it; tests
say when one is old.

    python -m tools.dev.docs
"""

from __future__ import annotations

import inspect
import os

from edge import errors
from edge.bus import bus, health, names, peers, wire
from edge.caller import TRUST_NAMES
from edge.services import provide_all, provide_radio
from edge.services.ask import Ask
from edge.services.blobs import Blobs
from edge.services.emergency import EmergencyServices
from edge.services.models import ModelServices
from edge.services.paid import Paid
from edge.services.safetyparts import Parts
from edge.services.service import REQUIRED
from tools.box.bootfs import BoxError
from tools.box.bundle import BundleError
from tools.box.image import FlashError
from tools.box.install import UpdateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from edge.services.service import Service

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

_HEAD = """# Capabilities

Made from the code by `python -m tools.dev.docs`.

A capability is something that a node does when it is asked: by its own page, by its owner's command line, or by a
neighbour over any link. It is called the same way from everywhere and gives the same answer.

    waypost call board.list@1 '{"limit": 3}'
    waypost call node.status@1 --to NODE

## Versions

A name stands with a version: `name@major.minor`. A call names the least version that will do, and `name@1` means
`name@1.0`. It is served when the major number is the same and the provider's minor number is not lower; where there
are several, the highest is taken. So a caller that knows 1.3 and can live with less asks for `name@1` and works with a
node of 1.1; one that needs what came with 1.3 asks for `name@1.3` and is told `schema_mismatch` there, with the
versions that are offered. A new minor version only adds: parameters that a node does not know are left aside, and
callers ignore what they do not know in an answer. What a neighbour offers is known from its OFFER (PROTOCOL.md, 10).

## Trust

| level | who |
|---|---|
| `unknown` | a neighbour that we know nothing of |
| `member` | a neighbour that holds our community key; whoever stands before this node's page |
| `trusted` | a node named in `trust.trusted` |
| `anchor` | a node named in `trust.anchors`; whoever can open the control socket, that is the owner of this node |

Each capability has the least level that may call it, asked for in one place before anything runs, for calls from here
and from elsewhere alike. A neighbour is offered only what it may call. A call is never carried further: only the owner
can have one carried to a neighbour, since it goes there in the node's own name.
"""

_ROUTE = """
## Which node serves a call

The one that the call names with `--to`. Without: this node where it has the capability in a version that will do, else
a neighbour that offers it, the one with the fewest failures first, then the highest version; when one refuses at once
because it is busy, the next is asked, %d at most.

%d failures among the last %d calls put a capability of a neighbour into quarantine: it is passed over for %d s and
comes back after. Failures are %s; a refusal is none.
A call that broke off in the middle is not tried elsewhere, for it may have been done.

## Bounds

| what | |
|---|---|
"""

_BOUNDS = (
    ("a call's deadline", f"1 ms to {wire.DEADLINE_MS_MAX // 1000} s; the provider keeps it too"),
    ("a call, an answer, an item", f"{wire.PAYLOAD_BYTES_MAX:,} bytes; {wire.LOCAL_BYTES_MAX:,} on the control socket"),
    ("items of a stream on their way", f"{wire.WINDOW}"),
    ("a stream that is taken as one list", f"{bus.ANSWER_BYTES_MAX:,} bytes"),
    ("calls from one neighbour", f"{peers.CALLS_BURST} at once, {peers.CALLS_PER_S} a second; a stranger's count "
     f"{peers.STRANGER_COST} each"),
    ("calls served at a time", f"{peers.SERVED_MAX} for one neighbour, {bus.SERVED_ALL_MAX} for all"),
    (f"calls to `{names.ALERT_PREFIX}*`", f"beside the others: {peers.ALERTS_BURST} at once, {peers.ALERTS_PER_S} a "
     f"second; {peers.SERVED_ALERTS_MAX} at a time for one neighbour, {bus.SERVED_ALERTS_ALL_MAX} for all"),
    ("calls of this machine at a time", f"{bus.RUNNING_MAX}"),
    ("capabilities of a node", f"{wire.OFFERS_MAX}"),
)

_BUILT_IN = """
What goes beyond is refused with `rate_limited`, `capacity_exceeded` or `bad_request`; ERRORS.md lists the codes.

## Built in

| capability | from trust | answer | |
|---|---|---|---|
"""

_ERRORS_HEAD = """# Errors

Made from the code by `python -m tools.dev.docs`.

Every error says what is wrong and, where it helps, `where`, what is `allowed` and a `hint` what to do. The command line
prints them on one line, and as `{"error": {"code", "message", ...}}` with `--json`. Codes are stable: there will be
more, and none changes its meaning. A node that is answered with a code that it does not know keeps it as it is.
"""


class _Paper:
    """Node, store and bus in one, for providing on paper only."""

    name = ""
    key = b""
    aired = None

    def provide(self, name: str, version: str, handler: Any, *, trust: int, summary: str, needs: str = "") -> None:
        """Nothing is called."""

    def kept(self, key: str) -> None:
        """Nothing was kept."""

    def keep(self, key: str, value: int) -> None:
        """Nothing is."""

    async def flushed(self) -> None:
        """Nothing is kept."""

    def fetch(self, keys: list[bytes]) -> list[bytes]:
        """There is nothing."""
        return []

    async def import_frame(self, frame: bytes) -> dict[str, Any]:
        """It is there, so that messages.import is."""
        return {}


def capabilities() -> str:
    """docs/CAPABILITIES.md"""
    paper: Any = _Paper()
    services = provide_all(paper, paper, paper, seed=b"", recent=lambda after, limit: [], hints=paper)
    services += [*ModelServices(paper, paper).services(), *Blobs(paper, paper, paper).services()]
    services += Ask(paper, b"", paper, paper, 0).services()
    services += [Paid(paper, "https://HOST", "", "", 0).service(), *provide_radio(paper, paper)]
    services += EmergencyServices(paper, paper.flushed).services()
    nobody = {"position": "", "places": [], "community": {"name": "", "stewards": [], "stewards_needed": 0}}
    parts = Parts(paper, paper, nobody, sure_s=lambda: 0, trust_of=lambda _key: 0, count=lambda _name: None)
    services += parts.services
    services.sort(key=lambda service: service.name)
    failures = ", ".join(f"`{code}`" for code in health.FAILURES)
    rest_s = health.QUARANTINE_MS // 1000
    out = [_HEAD, _ROUTE % (bus.ATTEMPTS_MAX, health.FAILURES_MAX, health.SAMPLES, rest_s, failures)]
    out += [f"| {what} | {bound} |\n" for what, bound in _BOUNDS]
    out.append(_BUILT_IN)
    for one in services:
        answer = "stream" if one.streams else "one value"
        out.append(f"| `{one.name}@{one.version}` | {TRUST_NAMES[one.trust]} | {answer} | {one.summary} |\n")
    out.append("\n## Parameters\n")
    for one in services:
        if one.fields:
            out += _fields(one)
    bare = ", ".join(f"`{one.name}`" for one in services if not one.fields)
    return "".join([*out, f"\nWithout parameters: {bare}.\n"])


def _fields(service: Service) -> list[str]:
    out = [f"\n### {service.name}\n\n| parameter | | allowed | without it |\n|---|---|---|---|\n"]
    for field in service.fields:
        default = "it is refused" if field.default is REQUIRED else "-" if field.default is None else str(field.default)
        out.append(f"| `{field.name}` | {field.about} | {field.allowed} | {default} |\n")
    return out


def error_codes() -> str:
    """docs/ERRORS.md"""
    rows = []
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]
    for kind in [*kinds, BoxError, BundleError, FlashError, UpdateError]:
        if issubclass(kind, errors.WaypostError) and kind is not errors.WaypostError:
            crosses = "yes" if kind.code in errors.BUS_ERRORS and issubclass(kind, errors.BusError) else "no"
            about = "The program itself failed; the log says more." if kind is errors.BusError else inspect.getdoc(kind)
            rows.append(f"| `{kind.code}` | {kind.__name__} | {crosses} | {about} |")
    return "\n".join([_ERRORS_HEAD, "| code | class | crosses the bus | |", "|---|---|---|---|", *sorted(rows)]) + "\n"


PAGES = {"CAPABILITIES.md": capabilities, "ERRORS.md": error_codes}


def main() -> None:
    """Write all pages."""
    from tools.dev import docs_airtime, docs_boards, docs_cli, docs_emergency

    for name, page in PAGES.items():
        with open(os.path.join(ROOT, "docs", name), "w", encoding="utf-8") as file:
            file.write(page())
    docs_cli.main()
    docs_airtime.main()
    docs_boards.main()
    docs_emergency.main()


if __name__ == "__main__":
    main()
