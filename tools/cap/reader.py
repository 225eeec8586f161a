"""CAP 1.1 and 1.2 alerts from XML to trees of numbered elements (edge/services/captree.py), hostile XML refused.

The parser is expat as Python has it, with everything that reaches outside or grows switched off: a document type, and
with it every entity, ends the reading at once; nothing is ever fetched; a file is at most BYTES_MAX long and is never
held in memory twice. What is not CAP is refused with its place, except a signature (XMLDSig), which is passed over,
since nothing here checks it, and derefUri, which is not carried.
"""

from __future__ import annotations

import os
import stat
from xml.parsers import expat

from edge.errors import BadRequest
from edge.services import captree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from edge.services.captree import Element, Tree

BYTES_MAX = 1 << 20
ELEMENTS_MAX = 20000
DEPTH_MAX = 16
NAMESPACES = ("urn:oasis:names:tc:emergency:cap:1.1", "urn:oasis:names:tc:emergency:cap:1.2")
_SIGNATURE = "http://www.w3.org/2000/09/xmldsig#"
_NOT_CARRIED = "derefUri"
_CHUNK_BYTES = 65536
# elements whose text is a code, a time or numbers: space around it means nothing
_CODES = frozenset(("identifier", "sender", "sent", "references", "language", "effective", "onset", "expires",
                    "polygon", "circle", "altitude", "ceiling", "size", "web", "uri"))


def read(path: str) -> Tree:
    """The tree of a CAP file, checked against CAP's rules. Raises BadRequest saying where in it what is wrong."""
    parser = _Parser(path)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(fd, "rb") as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode):
                raise BadRequest("is not a plain file", where=path)
            taken = 0
            while data := file.read(_CHUNK_BYTES):
                taken += len(data)
                if taken > BYTES_MAX or facts.st_size > BYTES_MAX:
                    raise BadRequest(f"has {max(taken, facts.st_size)} bytes", where=path,
                                     allowed=f"at most {BYTES_MAX}")
                parser.feed(data)
    except OSError as error:
        raise BadRequest(f"can't be read: {error.strerror}", where=path) from None
    return parser.end()


class _Parser:
    """One document."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._expat = expat.ParserCreate(namespace_separator=" ")
        self._expat.buffer_text = True
        self._expat.StartElementHandler = self._start
        self._expat.EndElementHandler = self._end
        self._expat.CharacterDataHandler = self._text
        self._expat.StartDoctypeDeclHandler = self._refuse_doctype
        self._expat.EntityDeclHandler = self._refuse_entity
        self._expat.ExternalEntityRefHandler = self._refuse_entity
        self._expat.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
        self._stack: list[tuple[str, Any]] = []  # (kind or name, tree or list of text) of the elements that are open
        self._skipping = 0  # elements open inside something that is passed over
        self._namespace = ""
        self._seen = 0
        self._tree: Tree | None = None

    def feed(self, data: bytes) -> None:
        self._parse(data, False)

    def end(self) -> Tree:
        self._parse(b"", True)
        tree = self._tree
        if tree is None:
            raise self._fault("there is no alert in it")
        try:
            captree.check(tree)
        except captree.Fault as fault:
            raise BadRequest(f"{fault.where} {fault.what}", where=self._path, allowed=fault.allowed) from None
        return tree

    def _parse(self, data: bytes, last: bool) -> None:
        try:
            self._expat.Parse(data, last)
        except expat.ExpatError as error:
            what = expat.ErrorString(error.code)
            raise BadRequest(f"is not well-formed XML: {what}", where=f"{self._path}:{error.lineno}") from None
        except (LookupError, ValueError) as error:  # an encoding that Python doesn't have
            raise BadRequest(f"can't be read: {error}", where=self._path) from None

    def _fault(self, what: str, allowed: str = "") -> BadRequest:
        return BadRequest(what, where=f"{self._path}:{self._expat.CurrentLineNumber}", allowed=allowed)

    def _refuse_doctype(self, *_facts: Any) -> None:
        raise self._fault("it has a document type, which CAP has no use for and attacks have", "XML without <!DOCTYPE")

    def _refuse_entity(self, *_facts: Any) -> int:
        raise self._fault("it declares an entity", "XML without entities of its own")

    def _start(self, full: str, _attributes: dict[str, str]) -> None:
        self._seen += 1
        if self._seen > ELEMENTS_MAX or len(self._stack) + self._skipping >= DEPTH_MAX:
            raise self._fault("it has too many elements", f"at most {ELEMENTS_MAX}, {DEPTH_MAX} deep")
        namespace, _, name = full.rpartition(" ")
        if self._skipping or (len(self._stack) == 1 and namespace == _SIGNATURE) or name == _NOT_CARRIED:
            self._skipping += 1
            return
        if not self._stack:
            if name != "alert" or namespace not in NAMESPACES:
                raise self._fault(f"it is no CAP alert: <{name[:40]}> of {namespace[:80] or 'no namespace'}",
                                  " or ".join(NAMESPACES))
            self._namespace = namespace
            self._stack.append(("alert", {}))
            return
        kind, content = self._stack[-1]
        element = captree.NUMBERS.get(kind, {}).get(name) if namespace == self._namespace else None
        if element is not None and element.kind != captree.PAIRS:
            self._open(name, content, element)
        elif element is not None:
            self._stack.append(("pair " + name, ["", ""]))
        elif kind.startswith("pair ") and name in ("valueName", "value") and namespace == self._namespace:
            self._stack.append((name, []))
        else:
            raise self._fault(f"there is no <{name[:40]}> in <{kind.removeprefix('pair ')[:40]}> of CAP")

    def _open(self, name: str, content: Tree, element: Element) -> None:
        if element.kind == captree.ONE and element.number in content:
            raise self._fault(f"<{name}> comes twice")
        self._stack.append((name, {} if element.kind == captree.TREES else []))

    def _text(self, text: str) -> None:
        if self._skipping or not self._stack:
            return
        kind, content = self._stack[-1]
        if isinstance(content, list) and not kind.startswith("pair "):
            content.append(text)
        elif text.strip():
            raise self._fault(f'there is text in <{kind.removeprefix("pair ")}>: "{text.strip()[:40]}"')

    def _end(self, _full: str) -> None:
        if self._skipping:
            self._skipping -= 1
            return
        name, content = self._stack.pop()
        if not self._stack:
            self._tree = content
            return
        kind, parent = self._stack[-1]
        if name in ("valueName", "value"):
            parent[name == "value"] = "".join(content)
            return
        element = captree.NUMBERS[kind][name.removeprefix("pair ")]
        value: Any = content
        if element.kind in (captree.ONE, captree.MANY):
            value = "".join(content)
            if element.words or name in _CODES:
                value = value.strip()
        if element.kind == captree.ONE:
            parent[element.number] = value
        elif element.kind == captree.PAIRS:
            parent.setdefault(element.number, []).extend(value)
        else:
            parent.setdefault(element.number, []).append(value)
