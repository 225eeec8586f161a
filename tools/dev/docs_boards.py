"""Writes boards/README.md: the keys of a board file and the boards there are, from the code and the files.

    python -m tools.dev.docs_boards
"""

from __future__ import annotations

import os

from boards import loader, schema

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PATH = os.path.join(ROOT, "boards", "README.md")

_HEAD = """# Boards

Made from `boards/schema.py` and the board files by `python -m tools.dev.docs_boards`.

A board file says which links a machine has and what it is made of. It holds facts, never choices: what the steward
wants is in `waypost.toml` (docs/CONFIG.md). `node.board` picks one; `auto`, its default, takes the one that the
machine's device tree names, and `generic` where none is named.

    waypost hardware list           the boards there are; * is this machine
    waypost hardware show [BOARD]   the facts of one
    waypost hardware check [BOARD]  whether this machine has what its board file says

| board | support | recognised by | memory, MB | |
|---|---|---|---|---|
"""

_TIERS = """
Support: `supported` is run by our tests on every change; `emulated` has run on QEMU's model of it or in parts on such a
machine; `untried` is written from documents and has not run there: tell us.

## A board file

    boards/NAME/board.toml

The loader (`boards/loader.py`) is strict: an unknown key, a wrong type or a missing one is an error with file, line and
column. A node whose board file is wrong starts as `generic` and says so; `waypost doctor` names the mistake. With
`like = "OTHER"` a board takes over every table of the other one that it does not have itself.

A link's driver is `Class(settings, seed, public, community_key, owner, name)` and follows edge/core/link.py; it must
pass tests/radios/contract.py. Nothing may touch hardware when it is imported.

To add a board: make the folder and the file, say in comments where each fact is from, run
`python -m tools.dev.docs_boards` and `make test` (`tests/test_boards.py` loads every board and its drivers, and refuses
every file of tests/data/boards-bad).
"""


def page() -> str:
    """boards/README.md"""
    out = [_HEAD]
    for name in loader.names():
        board = loader.load(name)
        memory = board.table("memory")
        sizes = ", ".join(map(str, memory.get("sizes_mb", ()))) or "any"
        kept = f"{sizes}; {memory['reserve_mb']} kept" if memory else sizes
        seen = ", ".join(f"`{one}`" for one in board.compatible)
        out.append(f"| `{name}` | {board.tier} | {seen} | {kept} | {board.summary} |\n")
    out.append(_TIERS)
    for heading, facts in schema.TABLES.items():
        title = f"`[{heading}]`" if heading and not heading.startswith("[") else f"`{heading}`"
        out.append(f"\n### {title if heading else 'At the top'}\n\n| key | may be | |\n|---|---|---|\n")
        for key, fact in facts.items():
            out.append(f"| `{key}` | {fact.allowed()}{'; required' if fact.needed else ''} | {fact.help} |\n")
    return "".join(out)


def main() -> None:
    """Write the page."""
    with open(PATH, "w", encoding="utf-8") as file:
        file.write(page())


if __name__ == "__main__":
    main()
