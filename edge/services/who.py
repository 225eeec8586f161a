"""Which node is meant: by its key, by the beginning of its key, or by the name of a neighbour.

A name is what a node calls itself, so it counts only on a link that authenticates, a member's before a visitor's, and
two nodes of one name are never guessed between. Beginnings are looked for among neighbours and the authors and
destinations of recent messages.
"""

from __future__ import annotations

from edge.errors import BadRequest, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.ports import NodePort, StorePort

PREFIX_DIGITS_MIN = 8
RECENT_ROWS = 500
KEY_DIGITS = 64


def find(who: str, node: NodePort, store: StorePort, now_s: Callable[[], int], where: str) -> bytes:
    """The key (32 bytes) of the node that `who` names. Raises NotFound, or BadRequest where it could be several."""
    text = who.strip()
    digits = text.lower()
    is_hex = all(one in "0123456789abcdef" for one in digits)
    if is_hex and len(digits) == KEY_DIGITS:
        return bytes.fromhex(digits)
    found = _named(text, node)
    if is_hex and len(digits) >= PREFIX_DIGITS_MIN:
        found |= {key for key in _known(node, store, now_s()) if key.hex().startswith(digits)}
    if not found:
        short = " (the beginning of a key needs 8 digits)" if is_hex and len(digits) < PREFIX_DIGITS_MIN else ""
        raise NotFound(f'no node "{text}" is known{short}', where=where, hint="give all 64 digits of its key")
    if len(found) > 1:
        shown = ", ".join(sorted(key.hex()[:16] for key in found)[:8])
        raise BadRequest(f'"{text}" can be {len(found)} nodes', where=where, allowed=shown, hint="give more of the key")
    return found.pop()


def _named(name: str, node: NodePort) -> set[bytes]:
    same = [row for row in node.peers() if row.get("name") == name and row.get("authenticated", True)]
    members = [row for row in same if row.get("member")]
    return {bytes.fromhex(row["node"]) for row in members or same}


def _known(node: NodePort, store: StorePort, now_s: int) -> set[bytes]:
    keys = {bytes.fromhex(row["node"]) for row in node.peers()}
    for row in store.list_messages(limit=RECENT_ROWS, now_s=now_s):
        keys.add(row["author"])
        if row["dest"] is not None:
            keys.add(row["dest"])
    keys.discard(node.key)
    return keys
