"""CAP 1.2 as XML from trees of numbered elements (edge/services/captree.py), elements in the order of the schema.

An alert that came as CAP goes out as it came; one that was written here gets what CAP asks for: an identifier, the key
of its author as sender, the times of its message.
"""

from __future__ import annotations

from edge.core import alert
from edge.services import alertform, captime, captree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from edge.services.captree import Tree

_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
_NAMESPACE = ' xmlns="urn:oasis:names:tc:emergency:cap:1.2"'
_TYPES = {"alert": "Alert", "update": "Update", "cancel": "Cancel"}


def xml(tree: Tree) -> str:
    """The document of a whole alert."""
    out: list[str] = [_HEAD]
    _write(out, "alert", tree, 0)
    return "".join(out)


def whole(row: dict[str, Any], tree: Tree | None, short: alert.Short, meant: list[dict[str, Any]]) -> Tree:
    """The tree of an alert: `tree` itself where it came as CAP, else made of what is known.

    row: as edge/services/alertrows.py has it. short: its short form. meant: the rows of those that it updates or
    cancels.
    """
    if tree is not None and captree.IDENTIFIER in tree:
        return tree
    out: Tree = {captree.IDENTIFIER: _identifier(row), captree.SENDER: _sender(row),
                 captree.SENT: captime.text(row["time_ms"] // 1000), captree.STATUS: row["status"],
                 captree.MSG_TYPE: _TYPES[row["kind"]], captree.NUMBERS["alert"]["scope"].number: "Public"}
    if meant:
        out[captree.REFERENCES] = " ".join(
            f"{_sender(one)},{_identifier(one)},{captime.text(one['time_ms'] // 1000)}" for one in meant)
    else:
        out[captree.MSG_TYPE] = "Alert" if row["kind"] == "update" else out[captree.MSG_TYPE]
    infos = alertform.infos_of(short, tree)
    expires = captime.text(row["expires_s"])
    out[captree.INFO] = [{captree.EXPIRES: expires} | info for info in infos]
    return out


def _identifier(row: dict[str, Any]) -> str:
    return f"waypost-{row['id']}"


def _sender(row: dict[str, Any]) -> str:
    return f"waypost-{row['author']}"


def _write(out: list[str], kind: str, tree: Tree, depth: int) -> None:
    space = "  " * depth
    out.append(f"{space}<{kind}{_NAMESPACE if depth == 0 else ''}>\n")
    for element in captree.ELEMENTS[kind]:
        value = tree.get(element.number)
        if value is None:
            continue
        name = element.name
        if element.kind == captree.TREES:
            for one in value:
                _write(out, name, one, depth + 1)
        elif element.kind == captree.PAIRS:
            for key, one in zip(value[::2], value[1::2], strict=True):
                out.append(f"{space}  <{name}>\n{space}    <valueName>{_escaped(key)}</valueName>\n"
                           f"{space}    <value>{_escaped(one)}</value>\n{space}  </{name}>\n")
        else:
            for one in value if element.kind == captree.MANY else [value]:
                out.append(f"{space}  <{name}>{_escaped(one)}</{name}>\n")
    out.append(f"{space}</{kind}>\n")


def _escaped(text: str) -> str:
    """Text in XML 1.0, which has no way to write most control characters."""
    out = "".join(one if one in "\t\n\r" or "\x20" <= one < "\ud800" or "\ue000" <= one < "\ufffe" or one > "\uffff"
                  else "\ufffd" for one in text)
    return out.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#13;")
