"""Makes the image: `make image`. What it writes is in .cache/image (docs/IMAGE.md).

It decides the order of the steps and says how long each took; the steps are in the modules beside it.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pathlib
import shutil
import sys
import time
import urllib.parse

from images.builder import boot, bundle, disk, host, inputs, rootfs
from images.builder.host import BuildError
from images.builder.tree import Tree
from tools.box import systems

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RECIPE = os.path.join(SOURCE, "images", "pi")


def main() -> int:
    """Make the image and everything beside it; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m images.builder", description="Make the SD-card image.")
    parser.add_argument("--cache", default=cache_folder(), help="where inputs are kept (default: the user's cache)")
    parser.add_argument("--out", default=os.path.join(SOURCE, ".cache", "image"), help="where the image goes")
    parser.add_argument("--key", default=None, help="file with the seed that signs (default: one for trying out)")
    parser.add_argument("--url", default=None, metavar="BASE",
                        help="the address that the image will lie under, for os_list.json (default: this file)")
    parser.add_argument("--version", default=None, help="the version that the image says it is")
    parser.add_argument("--again", action="store_true", help="fetch Debian's packages again, for newer ones")
    parser.add_argument("--for-tests", action="store_true", help="leave the image uncompressed")
    args = parser.parse_args()
    try:
        address(args.url, "x")  # a wrong one is said before an hour of work
        host.need("mmdebstrap", "dpkg-deb", "apt-get", "chroot")
        os.makedirs(args.cache, exist_ok=True)
        with open(os.path.join(args.cache, "lock"), "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # one build at a time uses the tools root
            build(args)
    except BuildError as error:
        print(f"image: {error}", file=sys.stderr)
        return 1
    return 0


def cache_folder() -> str:
    """Where inputs are kept that all checkouts share."""
    return os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "waypost", "image")


def build(args: argparse.Namespace) -> None:
    """All steps. Raises BuildError."""
    watch = Watch()
    epoch_s = inputs.commit_time_s(SOURCE)
    out = args.out
    got = inputs.Inputs(args.cache, RECIPE, epoch_s)
    tools = host.ToolsRoot(os.path.join(args.cache, "tools"))
    tools.make()
    watch.said("tools")
    root_tar, debs = got.root(args.again), got.packages(args.again)
    watch.said("Debian's packages")
    wheels = got.wheels(SOURCE)
    signer = bundle.Signer(args.key, args.cache)
    kernel_tree, firmware, busybox = sort_debs(debs)
    root = rootfs.Root(tools, RECIPE, epoch_s)
    root.add_debian(root_tar)
    for tree in firmware:
        root.add_firmware(tree)
    root.add_kernel(kernel_tree)
    root.add_ours(wheels)
    version = args.version or bundle.version_of(wheels, epoch_s)
    root.tree.file("etc/waypost/update.pub", signer.public_text())
    root.tree.file("usr/lib/waypost/version", f"{version} {epoch_s}\n")
    root.tree.file("usr/share/waypost/packages.txt", inputs.lock_list(root_tar, debs, wheels))
    root.compile()
    watch.said("the root's files")
    erofs = root.erofs()
    watch.said(f"the root as erofs, {len(erofs) >> 20} MB")
    initrd = boot.initramfs(tools, RECIPE, root.tree, root.kernel, busybox, epoch_s)
    slot = boot.slot_files(tools, RECIPE, kernel_tree, root.kernel, initrd)
    listing = systems.listing(version, epoch_s, erofs, slot)
    fat = boot.fat(tools, boot.partition(RECIPE, firmware_of(firmware), slot, listing), epoch_s)
    watch.said("the boot partition")
    shutil.rmtree(out, ignore_errors=True)
    os.makedirs(out)
    path = os.path.join(out, f"waypost-{version}.img")
    disk.card(tools, fat, erofs, path)
    write_text(path + ".bmap", disk.bmap(path, disk.spans(len(erofs))))
    bundle.write(os.path.join(out, f"waypost-{version}.update"), version, epoch_s, erofs, slot, signer)
    watch.said("the card and the update bundle")
    if args.for_tests:
        spoil(root.tree)
        bundle.write(os.path.join(out, "broken.update"), version + ".broken", epoch_s + 1, root.erofs(), slot, signer)
        watch.said("a broken update")
    publish(args, tools, out, path, version, epoch_s, root.tree.read("usr/share/waypost/packages.txt"), signer)
    watch.said("compressed")
    shutil.rmtree(tools.build)


def publish(args: argparse.Namespace, tools: host.ToolsRoot, out: str, path: str, version: str, epoch_s: int,
            lock: bytes, signer: bundle.Signer) -> None:
    """The files beside the image: compressed, block map, list for the Imager, and a signed manifest over all."""
    with open(os.path.join(out, f"waypost-{version}.packages"), "wb") as file:
        file.write(lock)
    listed = ""
    if not args.for_tests:
        os.link(path, tools.build + "/card.img")
        tools.run(["xz", "-T2", "-2", "--block-size=16MiB", "-k", "card.img"])
        os.rename(tools.build + "/card.img.xz", path + ".xz")
        date = time.strftime("%Y-%m-%d", time.gmtime(epoch_s))
        listed = disk.imager_list(address(args.url, path + ".xz"), version, date, path + ".xz", os.path.getsize(path),
                                  host.file_hash(path))
    if listed and args.url:
        write_text(os.path.join(out, "os_list.json"), listed)
    bundle.write_manifest(out, version, epoch_s, signer)
    if listed and not args.url:  # it names a folder of this machine: not part of what the same inputs make everywhere
        write_text(os.path.join(out, "os_list.json"), listed)
    print(f"image: signed by {signer.public.hex()}")
    for name in sorted(os.listdir(out)):
        print(f"image: {os.path.getsize(os.path.join(out, name)):>12,}  {os.path.join(out, name)}")


def address(base: str | None, path: str) -> str:
    """Where the Imager finds the file: below the base address, or here. Raises BuildError."""
    if base is None:
        return pathlib.Path(os.path.abspath(path)).as_uri()
    if not base.startswith(("https://", "http://", "file:///")):
        raise BuildError(f"--url {base} is no address; allowed: https://..., http://... or file:///...")
    return f"{base.rstrip('/')}/{urllib.parse.quote(os.path.basename(path))}"


def write_text(path: str, text: str) -> None:
    """Write a text of ASCII."""
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def spoil(tree: Tree) -> None:
    """A system for tests whose node runs, brings its database forward and takes messages, but has no page."""
    edge = f"{rootfs.SITE}/edge"
    schema = f"{edge}/store/schema"
    tree.file(f"{schema}/{len(tree.under(schema)) + 1:04}_tomorrow.sql", "CREATE TABLE tomorrow (n INTEGER);\n")
    del tree.entries[f"{edge}/web/static/index.html"]


def sort_debs(debs: list[str]) -> tuple[Tree, list[Tree], Tree]:
    """(the kernel's files, the firmware packages' trees, busybox's)"""
    kernel, busybox, firmware = Tree(), Tree(), []
    for path in debs:
        name = os.path.basename(path)
        if name.startswith("linux-"):
            kernel.entries.update(rootfs.deb_tree(path).entries)
        elif name.startswith("busybox"):
            busybox = rootfs.deb_tree(path)
        else:
            firmware.append(rootfs.deb_tree(path))
    return kernel, firmware, busybox


def firmware_of(trees: list[Tree]) -> Tree:
    """The tree that has what the Raspberry Pi's own processor loads."""
    for tree in trees:
        if any(name.endswith("/start4.elf") for name in tree.entries):
            return tree
    raise BuildError("no package of kernel.txt has the Raspberry Pi's boot files")


class Watch:
    """Says how long each step took."""

    def __init__(self) -> None:
        self.at = time.monotonic()

    def said(self, what: str) -> None:
        """The step that has just ended."""
        now = time.monotonic()
        print(f"image: {now - self.at:6.1f} s  {what}", flush=True)
        self.at = now


if __name__ == "__main__":
    sys.exit(main())
