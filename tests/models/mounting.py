"""Run in a mount namespace of its own: mounts a stick, prints what is offered, takes it out again.

    mounting.py ROOT MODEL
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from typing import Any

from edge.models.sticks import Sticks
from tests.waiting import PATIENCE

WAIT_S = 20 * PATIENCE


async def main(root: str, model: str) -> None:
    told: asyncio.Queue[list[dict[str, Any]]] = asyncio.Queue()
    sticks = Sticks(told.put_nowait, (root,))
    sticks.start()
    place = os.path.join(root, "BLUE STICK")
    await asyncio.to_thread(os.makedirs, place)
    await asyncio.to_thread(subprocess.run, ["mount", "-t", "tmpfs", "none", place], check=True)
    await asyncio.to_thread(_fill, place, model)
    sticks.look()  # the kernel told of the mount before the files were there
    async with asyncio.timeout(WAIT_S):
        offers = await told.get()
        path = sticks.path(offers[0]["offer"])
        await asyncio.to_thread(subprocess.run, ["umount", place], check=True)
        gone = await told.get()
        filled = os.path.join(root, "second")
        await asyncio.to_thread(os.makedirs, filled)
        await asyncio.to_thread(subprocess.run, ["mount", "--bind", os.path.dirname(model), filled], check=True)
        again = await told.get()  # by the kernel's word alone
    sticks.stop()
    print(json.dumps({"offers": offers, "path": path, "gone": gone, "again": again}))


def _fill(place: str, model: str) -> None:
    os.mkdir(os.path.join(place, "models"))
    part = os.path.join(place, "models", "part")
    shutil.copy(model, part)
    os.rename(part, os.path.join(place, "models", "Tiny Q8.gguf"))  # whole, or not there
    os.symlink("/etc/passwd", os.path.join(place, "link.gguf"))
    with open(os.path.join(place, "holiday.jpg"), "wb") as file:
        file.write(b"x")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
