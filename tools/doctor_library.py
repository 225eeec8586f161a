"""`waypost doctor`, the library: whether the index and the packs of a node's directory can be read."""

from __future__ import annotations

import os

from edge.errors import PackError
from edge.library import INDEX_NAME, index, shelf
from edge.library.pack import Pack
from tools.doctor_host import BROKEN, NOTE, OK, Finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from edge.settings import Config


def library(directory: str, config: Config) -> list[Finding]:
    """The index, and each pack that was added. Changes nothing."""
    path = os.path.join(directory, INDEX_NAME)
    if not os.path.exists(path):
        return [Finding("library", NOTE, "the library has no index yet", "the next start of the node makes it")]
    if not index.is_current(path):
        return [Finding("library", BROKEN, f"{path} is damaged or of another version",
                        "waypost restart: it is made anew")]
    rows = shelf.listed(directory)
    found = [Finding("library", OK, f"{len(rows)} packs, {sum(row['passages'] for row in rows)} passages")]
    for row in rows:
        if row["file"]:
            try:
                with Pack(row["file"]):
                    pass
            except PackError as error:
                found.append(Finding("library", BROKEN, str(error), f"get the pack {row['name']} again, or: "
                                     f"waypost pack remove {row['name']}"))
    return found
