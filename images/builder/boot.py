"""The boot partition: firmware, both slots' kernel with its first program, and the file that sets up the box.

    /config.txt, /bootcode.bin, /start*.elf ...   what the Raspberry Pi's own processor reads
    /waypost.toml                                 what the steward edits
    /slots.txt                                    64 bytes of state of an update (docs/IMAGE.md)
    /slot-a/, /slot-b/                            vmlinuz, initrd.img, cmdline.txt, device trees
"""

from __future__ import annotations

import os
import re

from images.builder.host import BuildError, ToolsRoot
from images.builder.inputs import words
from images.builder.tree import Tree, cpio
from tools.box import systems

BOOT_MB = 128
VOLUME_ID = "57415950"
LABEL = "WAYPOST"
STATE = f"{'trial=- running=- failed=-':<63}\n"
_DTBS = re.compile(r"(bcm2837-rpi-(3|zero-2|cm3)|bcm2711-rpi-(4|400|cm4)|bcm2712-).*\.dtb")
_FIRMWARE = ("bootcode.bin", "fixup.dat", "fixup_cd.dat", "fixup4.dat", "fixup4cd.dat", "start.elf", "start_cd.elf",
             "start4.elf", "start4cd.elf")


def initramfs(tools: ToolsRoot, recipe: str, root: Tree, kernel: str, busybox: Tree, epoch_s: int) -> bytes:
    """The archive with our /init, busybox and the modules that the root hangs on."""
    tree = Tree()
    tree.file("bin/busybox", busybox.read("usr/bin/busybox"), 0o755)
    with open(os.path.join(recipe, "init"), "rb") as file:
        tree.file("init", file.read(), 0o755)
    names = words(os.path.join(recipe, "initramfs-modules.txt"))
    head = f"usr/lib/modules/{kernel}/"
    depends = {}
    for line in root.read(head + "modules.dep").decode().splitlines():
        name, _, needs = line.partition(":")
        depends[os.path.basename(name)[:-3].replace("-", "_")] = [name, *needs.split()]
    wanted, built_in = set(), root.read(head + "modules.builtin").decode()
    for name in names:
        plain = name.replace("-", "_")
        if plain in depends:
            wanted |= set(depends[plain])
        elif not re.search(rf"/{re.escape(name)}\.ko$".replace("_", "[-_]"), built_in, re.MULTILINE):
            raise BuildError(f"initramfs-modules.txt: {name} is neither in modules.txt nor in the kernel")
    for path in wanted:
        tree.file(f"lib/modules/{kernel}/{path}", root.read(head + path))
    for name in ("modules.dep", "modules.alias", "modules.order", "modules.builtin"):
        data = root.read(head + name)
        if name == "modules.dep":
            data = b"".join(line + b"\n" for line in data.splitlines() if line.partition(b":")[0].decode() in wanted)
        tree.file(f"lib/modules/{kernel}/{name}", data if name in ("modules.dep", "modules.builtin") else b"")
    tree.file("modules.list", "\n".join(names) + "\n")
    return tools.run(["zstd", "-q", "-19", "-c"], data=cpio(tree, epoch_s))


def slot_files(tools: ToolsRoot, recipe: str, kernel_tree: Tree, kernel: str, initrd: bytes) -> dict[str, bytes]:
    """What is the same in both slots: kernel, first program, device trees; cmdline.txt still with @SLOT@."""
    head = f"usr/lib/modules/{kernel}/"
    out = {"vmlinuz": tools.run(["gzip", "-n9c"], data=kernel_tree.read(head + "vmlinuz")), "initrd.img": initrd}
    for name, data in kernel_tree.under(head + "dtb/broadcom").items():
        if _DTBS.fullmatch(name):
            out[name] = data
    if not any(name.endswith(".dtb") for name in out):
        raise BuildError("the kernel has no device tree of a Raspberry Pi")
    with open(os.path.join(recipe, "cmdline.txt"), "rb") as file:
        out["cmdline.txt"] = file.read()
    return out


def partition(recipe: str, firmware: Tree, slot: dict[str, bytes], listing: bytes) -> Tree:
    """The whole boot partition. listing: of the system in slot A (tools/box/systems.py); slot B is empty yet."""
    tree = Tree()
    for name in _FIRMWARE:
        tree.file(name, firmware.read("usr/lib/raspi-firmware/" + name))
    tree.file("LICENCE.txt", firmware.read("usr/share/doc/raspi-firmware/copyright"))
    for name in ("config.txt", "waypost.toml"):
        with open(os.path.join(recipe, name), "rb") as file:
            tree.file(name, file.read().replace(b"\n", b"\r\n"))  # every editor shows these line ends rightly
    tree.file("slots.txt", STATE)
    for letter in "ab":
        for name, data in slot.items():
            tree.file(f"slot-{letter}/{name}", data)
        tree.file(f"slot-{letter}/cmdline.txt", slot["cmdline.txt"].replace(b"@SLOT@", letter.encode()))
    tree.file(f"slot-a/{systems.NAME}", listing)
    return tree


def fat(tools: ToolsRoot, tree: Tree, epoch_s: int) -> bytes:
    """The boot partition as a FAT32 file system."""
    stage = tools.build + "/boot"
    tree.write(stage, epoch_s)
    for here, folders, _ in os.walk(stage):
        for one in folders:
            os.utime(os.path.join(here, one), (epoch_s, epoch_s))
    path = tools.build + "/boot.fat"
    with open(path, "wb") as file:
        file.truncate(BOOT_MB << 20)
    env = {"SOURCE_DATE_EPOCH": str(epoch_s)}
    tools.run(["mkfs.vfat", "--invariant", "-F", "32", "-i", VOLUME_ID, "-n", LABEL, "boot.fat"], env=env)
    files = sorted(name for name, (entry, _) in tree.entries.items() if entry.isfile())
    for folder in ("", "slot-a", "slot-b"):
        if folder:
            tools.run(["mmd", "-i", "boot.fat", f"::{folder}"], env=env)
        inside = [f"boot/{name}" for name in files if os.path.dirname(name) == folder]
        tools.run(["mcopy", "-m", "-i", "boot.fat", *inside, f"::{folder}/"], env=env)
    with open(path, "rb") as file:
        return file.read()
