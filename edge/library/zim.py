"""ZIM files, as the offline editions of encyclopaedias and question-and-answer sites come: their articles as HTML.

Read with the package libzim where that is installed; without it a pack with a ZIM file is refused with what to do.
"""

from __future__ import annotations

from edge.errors import PackError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

ARTICLE_BYTES_MAX = 2 << 20


def articles(path: str) -> Iterator[tuple[str, str, str]]:
    """(path in the file, title, HTML) of each article. Raises PackError."""
    try:
        from libzim.reader import Archive
    except ImportError:
        raise PackError("holds a ZIM file, and the package libzim is missing", where=path,
                        hint="pip install 'waypost[zim]'") from None
    try:
        archive = Archive(path)
        if archive.has_checksum and not archive.check():
            raise PackError("its checksum is wrong: it is damaged", where=path, hint="get the file again")
        for i in range(archive.all_entry_count):
            entry = archive._get_entry_by_id(i)
            if entry.is_redirect:
                continue
            item = entry.get_item()
            if item.mimetype.partition(";")[0].strip() == "text/html" and item.size <= ARTICLE_BYTES_MAX:
                yield entry.path, entry.title, bytes(item.content).decode("utf-8", "replace")
    except RuntimeError as error:
        raise PackError(f"can't be read: {error}", where=path, hint="get the file again") from None
