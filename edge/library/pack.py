"""A pack: documents in one file, with a list of their hashes and the signature of whoever answers for them.

A pack is a zip archive of `pack.list` (deterministic CBOR), `pack.sign` (edge/core/cosign.py over the list's hash and
the facts about the pack) and the documents. `read` gives nothing that it has not compared with the signed list. Whether
the signer is somebody whose word counts is decided by the caller. docs/PACKS.md describes every byte.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from hashlib import sha256

from edge.compat import crypto
from edge.core import cbor, cosign
from edge.core.cbor import CodecError
from edge.errors import PackError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

LIST, SIGN = "pack.list", "pack.sign"
KINDS = {".md": "md", ".markdown": "md", ".html": "html", ".htm": "html", ".txt": "txt", ".zim": "zim"}
DOCUMENTS_MAX = 20000
TEXT_BYTES_MAX = 8 << 20  # one document
ZIM_BYTES_MAX = 16 << 30
PACK_BYTES_MAX = 16 << 30
LIST_BYTES_MAX = 8 << 20
NAME_CHARS_MAX = 32
TEXT_CHARS_MAX = 200
_NAME_CHARS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
_KEYS = {1: "name", 2: "version", 3: "title", 4: "language", 5: "licence", 6: "about", 7: "made_s", 8: "list", 9: "key"}
_NUMBERS = {name: key for key, name in _KEYS.items()}
CHUNK_BYTES = 1 << 20
_UNREADABLE = (OSError, KeyError, RuntimeError, NotImplementedError, EOFError, zipfile.BadZipFile, zlib.error)
MADE_AT = (1980, 1, 1, 0, 0, 0)  # of each member, so that the same documents make the same bytes


class Document:
    """One document of a pack. kind: md, html, txt or zim; source: where it comes from, for people."""

    __slots__ = ("path", "kind", "n_bytes", "hash", "source")

    def __init__(self, path: str, kind: str, n_bytes: int, hash: bytes, source: str) -> None:
        self.path = path
        self.kind = kind
        self.n_bytes = n_bytes
        self.hash = hash
        self.source = source


class Pack:
    """An open pack whose list and signature are good. facts: name, version, title, language, licence, about, made_s,
    key (the author's, 32 bytes); signers: kids of all that have signed; digest: 32 bytes that stand for all of it."""

    def __init__(self, path: str) -> None:
        """Raises PackError, naming the file."""
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except _UNREADABLE as error:
            raise PackError(f"is no pack: {error}", where=path, hint="get the file again") from None
        try:
            self.facts, self._payload, self._signatures = self._signed()
            self.documents = self._listed(self.facts.pop("list"))
        except BaseException:
            self._zip.close()
            raise
        self.digest = sha256(self._payload).digest()

    def __enter__(self) -> Pack:
        return self

    def __exit__(self, *exc: object) -> None:
        self._zip.close()

    def signers(self, keys: list[bytes]) -> list[bytes]:
        """Those of `keys` that have signed it well, besides the author, whose signature was checked already."""
        found: list[bytes] = cosign.signers(cosign.PACK, self._payload, self._signatures, keys)
        return found

    def read(self, document: Document) -> bytes:
        """A whole document of text, compared with the list. Raises PackError."""
        if document.kind == "zim" or document.n_bytes > TEXT_BYTES_MAX:
            raise PackError("is too long to be read at once", where=f"{self.path}:{document.path}")
        return b"".join(self.chunks(document))

    def chunks(self, document: Document) -> Iterator[bytes]:
        """A document piece by piece; PackError at the end where it is not what was signed."""
        where = f"{self.path}:{document.path}"
        hash, size = sha256(), 0
        try:
            with self._zip.open(document.path) as file:
                while piece := file.read(CHUNK_BYTES):
                    size += len(piece)
                    if size > document.n_bytes:
                        break
                    hash.update(piece)
                    yield piece
        except _UNREADABLE as error:
            raise PackError(f"can't be read: {error}", where=where, hint="get the file again") from None
        if size != document.n_bytes or hash.digest() != document.hash:
            raise PackError("is not what was signed: it was altered or damaged", where=where, hint="get the file again")

    def _signed(self) -> tuple[dict[str, Any], bytes, dict[bytes, bytes]]:
        try:
            payload, signatures = cosign.split(self._member(SIGN, LIST_BYTES_MAX), cosign.PACK)
            facts = _facts(cbor.decode(payload), self.path)
        except CodecError as error:
            raise PackError(f"has no signature that can be read ({error.reason})", where=self.path) from None
        if facts["key"] not in cosign.signers(cosign.PACK, payload, signatures, [facts["key"]]):
            raise PackError("is not signed by the author that it names", where=self.path, hint="get the file again")
        return facts, payload, signatures

    def _listed(self, hash: bytes) -> list[Document]:
        raw = self._member(LIST, LIST_BYTES_MAX)
        if sha256(raw).digest() != hash:
            raise PackError("has a list that is not what was signed", where=self.path, hint="get the file again")
        try:
            rows = cbor.decode(raw)
        except CodecError as error:
            raise PackError(f"has a list that can't be read ({error.reason})", where=self.path) from None
        if not isinstance(rows, list) or not 0 < len(rows) <= DOCUMENTS_MAX:
            raise PackError("has a list of another form", where=self.path, allowed=f"1..{DOCUMENTS_MAX} documents")
        return [_document(row, self.path) for row in rows]

    def _member(self, name: str, bytes_max: int) -> bytes:
        try:
            with self._zip.open(name) as file:
                data = file.read(bytes_max + 1)
        except _UNREADABLE as error:
            raise PackError(f"has no {name} that can be read: {error}", where=self.path,
                            hint="get the file again") from None
        if len(data) > bytes_max:
            raise PackError(f"has a {name} that is too long", where=self.path, allowed=f"{bytes_max} bytes")
        return data


def write(target: str, facts: dict[str, Any], documents: list[tuple[str, str, str]], seed: bytes) -> None:
    """Make a pack at `target`, signed by the key of `seed`; it appears whole or not at all.

    facts: name, version, title, language, licence, about, made_s. documents: (path in the pack, file, source). Raises
    PackError, OSError.
    """
    facts = facts | {"key": crypto.public_key(seed), "list": b"\0" * 32}
    _facts({_NUMBERS[name]: value for name, value in facts.items()}, target)  # what we write can be read
    temporary = target + ".new"
    try:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
            rows = []
            for path, file, source in sorted(documents):
                rows.append(_put(archive, path, file, source, target))
            if not 0 < len(rows) <= DOCUMENTS_MAX:
                raise PackError(f"would hold {len(rows)} documents", where=target, allowed=f"1..{DOCUMENTS_MAX}")
            listed = cbor.encode(rows)
            facts["list"] = sha256(listed).digest()
            payload = cbor.encode({_NUMBERS[name]: value for name, value in facts.items()})
            signature = {cosign.kid(facts["key"]): cosign.sign(seed, cosign.PACK, payload)}
            archive.writestr(zipfile.ZipInfo(LIST, MADE_AT), listed, zipfile.ZIP_DEFLATED)
            archive.writestr(zipfile.ZipInfo(SIGN, MADE_AT), cosign.pack(cosign.PACK, payload, signature))
        os.replace(temporary, target)
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)


def valid_name(name: object) -> bool:
    """Whether this can be a pack's name: small letters, digits and hyphens, so that it can be a file's everywhere."""
    return isinstance(name, str) and 0 < len(name) <= NAME_CHARS_MAX and _NAME_CHARS.issuperset(name) and name[0] != "-"


def _put(archive: zipfile.ZipFile, path: str, file: str, source: str, target: str) -> list[Any]:
    kind = KINDS.get(os.path.splitext(path)[1].lower(), "")
    hash, size = sha256(), 0
    stored = zipfile.ZIP_STORED if kind == "zim" else zipfile.ZIP_DEFLATED
    info = zipfile.ZipInfo(path, MADE_AT)
    info.compress_type = stored
    with open(file, "rb") as data, archive.open(info, "w", force_zip64=kind == "zim") as member:
        while piece := data.read(CHUNK_BYTES):
            hash.update(piece)
            size += len(piece)
            member.write(piece)
    row = [path, kind, size, hash.digest(), source]
    _document(row, target)
    return row


def _facts(value: Any, where: str) -> dict[str, Any]:
    wrong = PackError("says of itself what can't be", where=where, allowed="name, version, title, language, licence")
    if not isinstance(value, dict):
        raise wrong
    facts: dict[str, Any] = {name: value.get(key) for key, name in _KEYS.items()}
    texts = all(isinstance(facts[name], str) and len(facts[name]) <= TEXT_CHARS_MAX and facts[name].isprintable()
                for name in ("title", "language", "licence", "about"))
    numbers = all(type(facts[name]) is int and 0 <= facts[name] < 2**53 for name in ("version", "made_s"))
    hashes = all(isinstance(facts[name], bytes) and len(facts[name]) == 32 for name in ("list", "key"))
    if not (valid_name(facts["name"]) and texts and numbers and hashes and facts["title"]):
        raise wrong
    return facts


def _document(row: Any, where: str) -> Document:
    """A row of the list. Paths stay inside: they are names, never places on a disk."""
    shape = isinstance(row, list) and len(row) >= 5 and isinstance(row[0], str) and isinstance(row[4], str)
    if not (shape and type(row[2]) is int and row[2] >= 0 and isinstance(row[3], bytes) and len(row[3]) == 32):
        raise PackError("has a list of another form", where=where)
    path, kind, n_bytes = row[:3]
    parts = path.split("/")
    if not path.isprintable() or len(path) > TEXT_CHARS_MAX or any(part in ("", ".", "..") for part in parts):
        raise PackError("holds a document of a name that can't be", where=f"{where}:{path[:80]!r}")
    if kind not in KINDS.values() or len(row[4]) > 4 * TEXT_CHARS_MAX:
        raise PackError("holds a document of a kind that can't be read", where=f"{where}:{path}",
                        allowed=", ".join(sorted(KINDS)))
    if n_bytes > (ZIM_BYTES_MAX if kind == "zim" else TEXT_BYTES_MAX):
        raise PackError(f"holds a document of {n_bytes} bytes", where=f"{where}:{path}",
                        allowed=f"{TEXT_BYTES_MAX} bytes of text", hint="divide it")
    return Document(path, kind, n_bytes, row[3], row[4])
