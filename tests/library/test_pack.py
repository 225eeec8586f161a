"""The file of a pack: what is read is what was signed, and whatever else is in the file is refused by name."""

from __future__ import annotations

import random
import zipfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from edge.core import cbor, cosign
from edge.errors import PackError
from edge.library import pack
from tests.library.shelves import AUTHOR, OTHER, TEXTS, key_of, make


def members(path: str) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewrite(path: str, found: dict[str, bytes]) -> str:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in found.items():
            archive.writestr(name, data)
    return path


def read_all(path: str) -> dict[str, bytes]:
    with pack.Pack(path) as one:
        return {document.path: one.read(document) for document in one.documents}


def test_there_and_back(tmp_path: Path) -> None:
    path = make(tmp_path, about="For tests")
    assert read_all(path) == {name: text.encode() for name, text in TEXTS.items()}
    with pack.Pack(path) as one:
        assert one.facts == {"name": "first", "version": 1, "title": "The first pack", "language": "en",
                             "licence": "CC0-1.0", "about": "For tests", "made_s": 1_800_000_000, "key": key_of(AUTHOR)}
        assert [document.kind for document in one.documents] == ["txt", "html", "md"]
        assert one.signers([key_of(OTHER), key_of(AUTHOR)]) == [key_of(AUTHOR)]
    again = make(tmp_path / "again", about="For tests")
    assert Path(path).read_bytes() == Path(again).read_bytes(), "the same documents make the same bytes"


def test_a_changed_document(tmp_path: Path) -> None:
    path = make(tmp_path)
    found = members(path)
    for changed in (found["water.md"].replace(b"one minute", b"no minute!"), found["water.md"] + b"x", b""):
        rewrite(path, found | {"water.md": changed})
        with pytest.raises(PackError, match=r"first-1.pack:water.md: is not what was signed"):
            read_all(path)
    rewrite(path, {name: data for name, data in found.items() if name != "burns.txt"})
    with pytest.raises(PackError, match=r"burns.txt: can't be read"):
        read_all(path)
    rewrite(path, found | {"extra.md": b"Never boil water."})
    assert set(read_all(path)) == set(TEXTS), "what is not on the list is not there"


def test_a_changed_list_or_signature(tmp_path: Path) -> None:
    path = make(tmp_path)
    found = members(path)
    listed = cbor.decode(found[pack.LIST])
    listed[0][4] = "another source"
    for wrong, said in (
        ({pack.LIST: cbor.encode(listed)}, "list that is not what was signed"),
        ({pack.SIGN: found[pack.SIGN][:-1] + b"\0"}, "not signed by the author"),
        ({pack.SIGN: b"x"}, "no signature that can be read"),
        ({pack.SIGN: _signed(path, OTHER)}, "not signed by the author"),
        ({pack.SIGN: _signed(path, AUTHOR, cosign.ORDER)}, "no signature that can be read"),
    ):
        rewrite(path, found | wrong)
        with pytest.raises(PackError, match=said):
            pack.Pack(path)
        rewrite(path, found)


def _signed(path: str, seed: bytes, kind: int = cosign.PACK) -> bytes:
    payload, _ = cosign.split(members(path)[pack.SIGN], cosign.PACK)
    signed: bytes = cosign.pack(kind, payload, {cosign.kid(key_of(AUTHOR)): cosign.sign(seed, kind, payload)})
    return signed


def forged(path: str, rows: list[Any], facts: dict[int, Any] | None = None) -> str:
    """The pack with another list, signed well: its author is not to be trusted."""
    found = members(path)
    payload, _ = cosign.split(found[pack.SIGN], cosign.PACK)
    listed = cbor.encode(rows)
    payload = cbor.encode(cbor.decode(payload) | {8: sha256(listed).digest()} | (facts or {}))
    signature = {cosign.kid(key_of(AUTHOR)): cosign.sign(AUTHOR, cosign.PACK, payload)}
    return rewrite(path, found | {pack.LIST: listed, pack.SIGN: cosign.pack(cosign.PACK, payload, signature)})


@pytest.mark.parametrize("row", [
    ["../../etc/passwd", "md", 1, bytes(32), ""], ["/etc/passwd", "md", 1, bytes(32), ""],
    ["a//b", "md", 1, bytes(32), ""],
    ["a\nb", "md", 1, bytes(32), ""], ["a", "exe", 1, bytes(32), ""], ["a", "md", -1, bytes(32), ""],
    ["a", "md", 2**40, bytes(32), ""], ["a", "md", 1, b"short", ""], ["a", "md", 1, bytes(32)], "a", None,
    ["a", "md", True, bytes(32), ""], ["a" * 300, "md", 1, bytes(32), ""],
])
def test_lists_of_bad_authors(tmp_path: Path, row: Any) -> None:
    with pytest.raises(PackError):
        pack.Pack(forged(make(tmp_path), [row]))


@pytest.mark.parametrize("facts", [
    {1: "../x"}, {1: ""}, {1: "x" * 33}, {1: "-x"}, {2: -1}, {2: "1"}, {3: ""}, {3: "a\x1b[2J"}, {3: "x" * 201},
    {4: None}, {9: b"x"}, {7: 2**60},
])
def test_facts_that_cant_be(tmp_path: Path, facts: dict[int, Any]) -> None:
    path = make(tmp_path)
    with pack.Pack(path) as one:
        rows = [[d.path, d.kind, d.n_bytes, d.hash, d.source] for d in one.documents]
    with pytest.raises(PackError, match="can't be"):
        pack.Pack(forged(path, rows, facts))


def test_a_bomb(tmp_path: Path) -> None:
    """A member that unpacks to more than the list says is read no further than that."""
    path = make(tmp_path)
    rewrite(path, members(path) | {"water.md": b"0" * (64 << 20)})
    assert Path(path).stat().st_size < 200_000
    with pytest.raises(PackError, match="not what was signed"):
        read_all(path)
    rewrite(path, members(path) | {pack.LIST: b"0" * (64 << 20)})
    with pytest.raises(PackError, match="too long"):
        pack.Pack(path)


def test_broken_files(tmp_path: Path) -> None:
    path = make(tmp_path)
    whole = Path(path).read_bytes()
    for broken in (b"", b"PK\x03\x04", whole[:-40], whole[:200], b"x" * 5000):
        Path(path).write_bytes(broken)
        with pytest.raises(PackError, match=r"first-1\.pack"):
            read_all(path)
    for seed in range(200):
        random.seed(seed)
        data = bytearray(whole)
        for _ in range(3):
            data[random.randrange(len(data))] ^= 1 << random.randrange(8)
        Path(path).write_bytes(bytes(data))
        try:
            assert read_all(path) == {name: text.encode() for name, text in TEXTS.items()}, seed
        except PackError:
            pass
    with pytest.raises(PackError, match="no pack"):
        pack.Pack(str(tmp_path / "none.pack"))


def test_writing_refuses_what_could_not_be_read(tmp_path: Path) -> None:
    for facts, said in (({"name": "Bad Name"}, "can't be"), ({"title": "x" * 300}, "can't be")):
        with pytest.raises(PackError, match=said):
            make(tmp_path, **{"version": 2, **facts})  # type: ignore[arg-type]
    with pytest.raises(PackError, match="0 documents"):
        make(tmp_path, texts={})
    assert not list(tmp_path.glob("*.pack*"))
