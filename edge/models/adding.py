"""A file becomes a model of the node: looked at, copied under its content, recorded.

What is no whole model is refused before a byte is copied. The source may be a stick that is pulled out: until the copy
is whole, checked and named, there is no model, and what was copied is thrown away.
"""

from __future__ import annotations

import os

from edge.errors import BadRequest
from edge.models import chunks as chunk_lists
from edge.models import gguf
from edge.models.catalogue import Catalogue, Record, new_record, valid_name, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from edge.models.chunks import Chunks



def look_at(path: str) -> tuple[str, list[str], dict[str, Any]]:
    """Kind, abilities and facts of a model file. Raises BadRequest; OSError is passed on."""
    from edge.models import manifest

    if manifest.is_tflite(path):
        return "tflite", ["classify"], manifest.read(path)
    facts = gguf.facts(path)
    meanings = facts["arch"] in gguf.EMBEDDERS or facts["pooling"] > 0
    return "gguf", ["embed"] if meanings else ["chat", "complete", "embed"], facts


def add_file(catalogue: Catalogue, path: str, *, name: str | None = None, pinned: bool,
             told: Callable[[int, int], None] | None = None) -> Record:
    """Copy a model file in; told(bytes so far, all bytes) as it goes on. A model that is there already is given again.

    Raises BadRequest, CapacityExceeded; OSError is passed on.
    """
    if name is not None and any(one.name == valid_name(name) for one in catalogue.records()):
        raise BadRequest(f"there is a model {name} already", where="name", hint="give another --name")
    kind, does, facts = look_at(path)
    size = os.path.getsize(path)
    catalogue.make_room(size)
    temporary = catalogue.path(f"adding-{os.getpid()}-{os.urandom(4).hex()}", ".part")
    source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        target = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            listed = chunk_lists.copy(source, target, size, told and (lambda done: told(done, size)))
            os.fsync(target)
            if look_at(temporary) != (kind, does, facts):
                raise BadRequest("the file changed while it was copied", where=path)
            return _settle(catalogue, temporary, target, listed, name or _stem(path), kind, does, facts, pinned)
        finally:
            os.close(target)
    finally:
        os.close(source)
        try:
            os.unlink(temporary)
        except FileNotFoundError:
            pass


def add_fetched(catalogue: Catalogue, path: str, listed: Chunks, name: str) -> Record:
    """A blob that was fetched whole, at `path`, and checked becomes a model. Raises BadRequest for one that is none."""
    kind, does, facts = look_at(path)
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return _settle(catalogue, path, fd, listed, name, kind, does, facts, False)
    finally:
        os.close(fd)


def _settle(catalogue: Catalogue, path: str, fd: int, listed: Chunks, name: str, kind: str, does: list[str],
            facts: dict[str, Any], pinned: bool) -> Record:
    """The file takes its place and gets its record."""
    blob = listed.id.hex()
    for record in catalogue.records():
        if record.blob == blob:
            return record
    write(catalogue.path(blob, ".chunks"), listed.data)
    os.rename(path, catalogue.path(blob))
    record = new_record(catalogue.name_for(name), kind, does, listed, facts, pinned, fd)
    catalogue.keep(record)
    return record


def _stem(path: str) -> str:
    name = os.path.basename(path)
    return name.removesuffix(os.path.splitext(name)[1])
