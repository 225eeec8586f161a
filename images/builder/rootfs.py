"""The image's root: Debian's root less what it can do without, plus kernel modules, firmware, our files and the node.

The result is one tar file and from that an erofs of fixed time and id: the same inputs give the same bytes.
"""

from __future__ import annotations

import glob
import io
import lzma
import os
import re
import shutil
import tarfile
import zipfile

from images.builder.host import BuildError, ToolsRoot, run
from images.builder.inputs import words
from images.builder.tree import Tree

UUID = "57415950-0000-4000-8000-000000000001"
NODE_UID = 900
SITE = "usr/lib/python3/dist-packages"
_FIRMWARE = re.compile(
    r"usr/lib/firmware/(brcm/(brcmfmac434(30|36|55|56)|BCM43(430|436|45))|cypress/cyfmac434(30|55)|regulatory\.db)")
_GROUPS = ("dialout", "bluetooth", "plugdev", "video")


def deb_tree(path: str) -> Tree:
    """What is in a .deb."""
    tree = Tree()
    raw = run(["dpkg-deb", "--fsys-tarfile", path])
    with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
        tree.add_tar(tar)
    return tree


class Root:
    """The root under construction. kernel: the version whose modules it has, after add_kernel."""

    def __init__(self, tools: ToolsRoot, recipe: str, epoch_s: int) -> None:
        self.tools = tools
        self.recipe = recipe
        self.epoch_s = epoch_s
        self.tree = Tree()
        self.kernel = ""

    def add_debian(self, path: str) -> None:
        """Debian's root, pruned."""
        with tarfile.open(path) as tar:
            self.tree.add_tar(tar)
        self.tree.remove(words(os.path.join(self.recipe, "prune.txt")))
        for name in ("dev", "proc", "sys", "run", "tmp", "boot", "data", "root", "mnt", "var/lib/systemd", "var/log",
                     "var/cache", "var/lib/avahi-autoipd"):
            self.tree.folder(name, 0o1777 if name == "tmp" else 0o755)

    def add_firmware(self, tree: Tree) -> None:
        """The radios' firmware out of a package's tree, and its licences."""
        real = {name: name for name in tree.entries}
        for name in real:
            entry, data = tree.entries[name]
            if _FIRMWARE.match(name) or re.fullmatch(r"usr/share/doc/[^/]+/copyright", name):
                if entry.isfile():
                    self.tree.file(name, data)
                elif entry.issym():
                    self.tree.link(name, entry.linkname)

    def add_kernel(self, tree: Tree) -> None:
        """The modules of modules.txt and what they need, unpacked, with their index."""
        top = "usr/lib/modules/"
        self.kernel = next(name.split("/")[3] for name in tree.entries if name.endswith("/vmlinuz"))
        head = f"{top}{self.kernel}/"
        modules = {name[len(head):].removesuffix(".xz"): data for name, (entry, data) in tree.entries.items()
                   if entry.isfile() and re.search(r"\.ko(\.xz)?$", name) and name.startswith(head)}
        plain = {name: lzma.decompress(data) if data[:6] == b"\xfd7zXZ\0" else data for name, data in modules.items()}
        wanted = words(os.path.join(self.recipe, "modules.txt"))
        kept = {name for name in plain if any(
            name.startswith("kernel/" + one) if one.endswith("/") else name == f"kernel/{one}.ko" for one in wanted)}
        for one in wanted:
            if not any(name.startswith("kernel/" + one) for name in kept) and one.endswith("/"):
                print(f"image: modules.txt: nothing is below {one} in this kernel")
        for name in self._needed(plain, kept):
            self.tree.file(head + name, plain[name])
        for name in ("modules.order", "modules.builtin", "modules.builtin.modinfo"):
            self.tree.file(head + name, tree.read(head + name))
        stage = Tree()
        for name, data in self.tree.under(top.rstrip("/")).items():
            stage.file(top + name, data)
        shutil.rmtree(self.tools.build + "/modules", ignore_errors=True)
        stage.write(self.tools.build + "/modules", self.epoch_s)
        os.symlink("usr/lib", self.tools.build + "/modules/lib")
        self.tools.run(["depmod", "-b", "/build/modules", self.kernel])
        for name in sorted(os.listdir(f"{self.tools.build}/modules/{head}")):
            if name.startswith("modules."):
                with open(f"{self.tools.build}/modules/{head}{name}", "rb") as file:
                    self.tree.file(head + name, file.read())

    def _needed(self, plain: dict[str, bytes], kept: set[str]) -> list[str]:
        by_name = {os.path.basename(name)[:-3].replace("-", "_"): name for name in plain}
        todo, out = sorted(kept), set()
        while todo:
            name = todo.pop()
            if name in out:
                continue
            out.add(name)
            found = re.search(rb"\0depends=([^\0]*)\0", b"\0" + plain[name])
            for one in (found[1].decode().split(",") if found else ()):
                if one.replace("-", "_") in by_name:
                    todo.append(by_name[one.replace("-", "_")])
        return sorted(out)

    def add_ours(self, wheels: list[str]) -> None:
        """The node with its launcher, its user, our files, and what systemd starts."""
        for path in wheels:
            with zipfile.ZipFile(path) as wheel:
                for name in wheel.namelist():
                    if not name.endswith("/"):
                        self.tree.file(f"{SITE}/{name}", wheel.read(name))
        self.tree.file("usr/bin/waypost", "#!/usr/bin/python3 -I\nimport sys\n\nfrom tools.cli import main\n\n"
                       "sys.exit(main())\n", 0o755)
        self.tree.add_folder(os.path.join(self.recipe, "files"))
        self._user()
        self.tree.file("etc/hostname", "waypost\n")
        self.tree.file("etc/hosts", "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n")
        self.tree.file("etc/fstab", "# the root is mounted by the initramfs, /data by waypost-data.service\n")
        self.tree.file("etc/machine-id", "")
        self.tree.link("etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf")
        self._units()

    def _units(self) -> None:
        """What systemd starts and what it never does, as units.txt has it."""
        with open(os.path.join(self.recipe, "units.txt"), encoding="utf-8") as file:
            lines = [line.partition("#")[0].split() for line in file]
        for line in lines:
            match line:
                case ["on", unit, target]:
                    found = [f"{top}/systemd/system/{unit}" for top in ("etc", "usr/lib")]
                    place = next((one for one in found if one in self.tree.entries), None)
                    if place is None:
                        raise BuildError(f"units.txt: there is no unit {unit}")
                    self.tree.link(f"etc/systemd/system/{target}.wants/{unit}", f"/{place}")
                case ["off", unit]:
                    self.tree.link(f"etc/systemd/system/{unit}", "/dev/null")
                case []:
                    pass
                case other:
                    raise BuildError(f"units.txt: can't read {' '.join(other)}")

    def _user(self) -> None:
        """The node's user; and no password anywhere, nor the day on which the root was made."""
        for name, line in (("passwd", f"waypost:x:{NODE_UID}:{NODE_UID}:Waypost:/data/waypost:/usr/sbin/nologin\n"),
                           ("group", f"waypost:x:{NODE_UID}:\n")):
            text = self.tree.read(f"etc/{name}").decode() + line
            if name == "group":
                text = "".join(_with_member(one) for one in text.splitlines())
            self.tree.file(f"etc/{name}", text)
        shadow = [one.split(":")[0] for one in self.tree.read("etc/passwd").decode().splitlines()]
        self.tree.file("etc/shadow", "".join(f"{one}:!*:20000::::::\n" for one in shadow), 0o640, 0, 42)
        for name in ("passwd-", "group-", "shadow-", "gshadow-", "gshadow", "subuid", "subgid", "subuid-", "subgid-",
                     ".pwd.lock"):
            self.tree.entries.pop(f"etc/{name}", None)

    def compile(self) -> None:
        """Byte code for all that the image's Python may load, made by the same Python natively: the second set, without
        docstrings, is the node's own (tools/warm.py)."""
        site = os.path.join(self.tools.folder, "usr/lib/python3/dist-packages")
        cache = os.path.join(self.tools.folder, "usr/waypost-pycache")
        shutil.rmtree(cache, ignore_errors=True)
        python = Tree()
        for name, (entry, data) in self.tree.entries.items():
            if entry.isfile() and name.startswith("usr/lib/python3") and name.endswith(".py"):
                python.file(name, data)
        for name in {name.split("/")[4] for name in self.tree.entries if name.startswith(SITE + "/")}:
            if not name.startswith(("nacl", "cffi", "_cffi", "pycparser")):  # with native halves
                shutil.rmtree(os.path.join(site, name), ignore_errors=True)
        for stale in glob.glob(self.tools.folder + "/usr/lib/python3*/**/__pycache__", recursive=True):
            shutil.rmtree(stale)
        python.write(self.tools.folder, self.epoch_s)
        for name, (entry, data) in self.tree.entries.items():  # data files of our packages, and metadata
            if name.startswith(SITE) and entry.isfile() and not name.endswith((".py", ".so")):
                path = os.path.join(self.tools.folder, name)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "wb") as file:
                    file.write(data)
        env = {"PYTHONHASHSEED": "0"}
        listing = "\n".join(f"/{name}" for name in sorted(python.entries) if name.endswith(".py"))
        self.tools.run(["python3", "-m", "compileall", "-q", "--invalidation-mode=timestamp", "-i", "-"],
                       data=listing.encode(), env=env)
        self.tools.run(["python3", "-I", "-m", "tools.warm"], env=env)
        self.tools.run(["python3", "-I", "-m", "tools.cli", "--dir", "/build", "version"])  # does it start at all?
        self._take(self.tools.folder, "usr/lib", lambda name: "/__pycache__/" in name)
        self._take(self.tools.folder, "usr/waypost-pycache", lambda name: True)

    def _take(self, folder: str, top: str, keep: object) -> None:
        known = set(self.tree.entries)
        for here, _, files in os.walk(os.path.join(folder, top)):
            for one in files:
                path = os.path.join(here, one)
                name = os.path.relpath(path, folder)
                source = re.sub(r"(^usr/waypost-pycache/|__pycache__/)", "", name)
                source = re.sub(r"\.cpython-\d+(\.opt-\d)?\.pyc$", ".py", source)
                if keep(name) and name.endswith(".pyc") and source in known:  # type: ignore[operator]
                    with open(path, "rb") as file:
                        self.tree.file(name, file.read())

    def erofs(self) -> bytes:
        """The finished root as an erofs."""
        with open(self.tools.build + "/root.tar", "wb") as file:
            file.write(self.tree.to_tar(self.epoch_s))
        self.tools.run(["mkfs.erofs", "--quiet", "--tar=f", "-zzstd,level=9", "-C65536",
                        f"-T{self.epoch_s}", "-U", UUID, "root.erofs", "root.tar"])
        with open(self.tools.build + "/root.erofs", "rb") as file:
            return file.read()


def _with_member(line: str) -> str:
    name, _, rest = line.partition(":")
    if name in _GROUPS:
        line += ("," if rest.rpartition(":")[2] else "") + "waypost"
    return line + "\n"
