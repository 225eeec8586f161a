"""The build's inputs: Debian's packages, fetched once and kept: the emulated root, kernel, firmware, and our wheels.

The root's install scripts run under qemu-user, which takes minutes; the finished root is kept under a key of the
package list. What was taken, with versions and hashes, is one list that the image is published with.
"""

from __future__ import annotations

import glob
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile

from images.builder import host
from images.builder.host import BuildError, run

ARCH = "arm64"
PYTHON = "3.13"  # of the release that host.SUITE names
# qemu-user 7.2 plays its largest processor unless told, which signs each return address in software: Python takes
# eleven times as long on it
QEMU = {"QEMU_CPU": "cortex-a53"}
_DPKG = ("path-exclude=/usr/share/man/*", "path-exclude=/usr/share/info/*", "path-exclude=/usr/share/locale/*",
         "path-exclude=/usr/share/doc/*", "path-include=/usr/share/doc/*/copyright",
         "path-exclude=/usr/share/lintian/*", "force-unsafe-io")
_LISTED = "dpkg-query --admindir=\"$1\"/var/lib/dpkg -W -f '${Package} ${Version} ${Architecture}\\n'"


def words(path: str) -> list[str]:
    """The words of a list file, without comments."""
    with open(path, encoding="utf-8") as file:
        return [word for line in file for word in line.partition("#")[0].split()]


class Inputs:
    """Where the fetched and made inputs are kept; each getter makes what is not there yet."""

    def __init__(self, cache: str, recipe: str, epoch_s: int) -> None:
        self.cache = cache
        self.recipe = recipe
        self.epoch_s = epoch_s
        os.makedirs(cache, exist_ok=True)

    def root(self, again: bool = False) -> str:
        """root.tar of the configured Debian root; beside it root.packages, its packages with versions."""
        names = words(os.path.join(self.recipe, "packages.txt"))
        key = hashlib.sha256("\n".join([host.SUITE, *names, *_DPKG]).encode()).hexdigest()[:16]
        folder = os.path.join(self.cache, f"root-{key}")
        path = os.path.join(folder, "root.tar")
        if again:
            shutil.rmtree(folder, ignore_errors=True)
        if not os.path.exists(path):
            print("image: making the Debian root; its install scripts run emulated, this takes some minutes",
                  flush=True)
            host.need("arch-test")
            if run(["sh", "-c", f"arch-test {ARCH} || true"]).strip()[-2:] != b"ok":
                raise BuildError(f"programs for {ARCH} can't be run here; tools/dev/setup.sh image sets that up (needs "
                                 "root once)")
            os.makedirs(folder, exist_ok=True)
            part = os.path.join(folder, "part.tar")
            listed = os.path.join(folder, "root.packages")
            run(["mmdebstrap", "--variant=minbase", f"--architectures={ARCH}", "--format=tar",
                 "--aptopt=APT::Install-Recommends false", "--aptopt=Acquire::Languages none",
                 *(f"--dpkgopt={one}" for one in _DPKG), f"--include={','.join(names)}",
                 f"--customize-hook={_LISTED} >{listed}", host.SUITE, part, "-"],
                data=host.sources().encode(), env={"SOURCE_DATE_EPOCH": str(self.epoch_s), **QEMU})
            os.rename(part, path)
        return path

    def packages(self, again: bool = False) -> list[str]:
        """The .deb files of kernel.txt with those of the kernel that they depend on."""
        names = words(os.path.join(self.recipe, "kernel.txt"))
        key = hashlib.sha256("\n".join([host.SUITE, *names]).encode()).hexdigest()[:16]
        folder = os.path.join(self.cache, f"debs-{key}")
        if again:
            shutil.rmtree(folder, ignore_errors=True)
        if not glob.glob(folder + "/*.deb"):
            apt = self._apt()
            part = folder + ".part"
            shutil.rmtree(part, ignore_errors=True)
            os.makedirs(part)
            wanted = [*names, *self._kernel_parts(apt)]
            run(["apt-get", "-c", apt, "-q", "download", *wanted], cwd=part)
            os.rename(part, folder)
        return sorted(glob.glob(folder + "/*.deb"))

    def unpack(self, names: list[str], root: str) -> None:
        """Fetch these packages and put what is in them into a folder; nothing of them is run."""
        with tempfile.TemporaryDirectory() as folder:
            run(["apt-get", "-c", self._apt(), "-q", "download", *names], cwd=folder)
            for one in glob.glob(folder + "/*.deb"):
                run(["dpkg-deb", "-x", one, root])

    def _kernel_parts(self, apt: str) -> list[str]:
        out, todo = set(), ["linux-image-arm64"]
        while todo:
            shown = run(["apt-cache", "-c", apt, "show", "--no-all-versions", todo.pop()]).decode()
            for line in shown.splitlines():
                if line.startswith("Depends:"):
                    found = [one.split()[0] for one in line[8:].split(",")]
                    more = [one for one in found if one.startswith(("linux-image-", "linux-modules-", "linux-binary-",
                                                                     "linux-base-"))]
                    todo += [one for one in more if one not in out]
                    out |= set(more)
        return sorted(one for one in out if any(letter.isdigit() for letter in one.removesuffix("arm64")))

    def _apt(self) -> str:
        """The configuration of an apt of our own for the image's release, with fresh lists."""
        folder = os.path.join(self.cache, "apt")
        for name in ("lists/partial", "cache/archives/partial"):
            os.makedirs(os.path.join(folder, name), exist_ok=True)
        with open(os.path.join(folder, "sources.list"), "w", encoding="ascii") as file:
            file.write((host.sources() + host.backports()).replace("deb ", f"deb [arch={ARCH}] "))
        with open(os.path.join(folder, "preferences"), "w", encoding="ascii") as file:
            file.write(f"Package: linux-*\nPin: release n={host.SUITE}-backports\nPin-Priority: 900\n")
        path = os.path.join(folder, "apt.conf")
        with open(path, "w", encoding="ascii") as file:
            file.write(f'Dir::State "{folder}"; Dir::State::lists "{folder}/lists"; Dir::State::status "/dev/null";\n'
                       f'Dir::Cache "{folder}/cache"; Dir::Etc::sourcelist "{folder}/sources.list";\n'
                       f'Dir::Etc::sourceparts "{folder}/none"; Dir::Etc::preferences "{folder}/preferences";\n'
                       f'Dir::Etc::preferencesparts "{folder}/none"; APT::Architecture "{ARCH}";\n'
                       f'APT::Sandbox::User "root"; APT::Architectures {{"{ARCH}";}}; Acquire::Languages "none";\n')
        run(["apt-get", "-c", path, "-q", "update"])
        return path

    def wheels(self, source: str) -> list[str]:
        """Our wheel, made from `source`, those of wheels.txt, and llama.cpp's as `make models-arm64` builds it."""
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
        names = words(os.path.join(self.recipe, "wheels.txt"))
        key = hashlib.sha256("\n".join([PYTHON, *names]).encode()).hexdigest()[:16]
        folder = os.path.join(self.cache, f"wheels-{key}")
        if not os.path.isdir(folder):
            part = folder + ".part"
            shutil.rmtree(part, ignore_errors=True)
            run([*pip, "download", "--only-binary=:all:", "--platform", "manylinux_2_28_aarch64", "--platform",
                 "manylinux2014_aarch64", "--python-version", PYTHON, "-d", part, *names])
            os.rename(part, folder)
        made = os.path.join(self.cache, "own")
        shutil.rmtree(made, ignore_errors=True)
        run([*pip, "wheel", "--no-deps", "--wheel-dir", made, source],
            env={"SOURCE_DATE_EPOCH": str(self.epoch_s)})
        llama = run([os.path.join(source, "tools", "dev", "models.sh"), ARCH, os.path.join(self.cache, "llama")],
                    env={"PYTHON": sys.executable}).decode().split()[-1]
        return [*glob.glob(made + "/waypost-*.whl"), *sorted(glob.glob(folder + "/*.whl")), llama]


def commit_time_s(source: str) -> int:
    """The time that all files of the image have: SOURCE_DATE_EPOCH, else that of the last commit."""
    said = os.environ.get("SOURCE_DATE_EPOCH", "")
    if not said:
        try:
            said = subprocess.run(["git", "-C", source, "log", "-1", "--format=%ct"], capture_output=True, text=True,
                                  check=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            said = str(int(os.path.getmtime(os.path.join(source, "CHANGELOG.md"))))
    return int(said)


def lock_list(root: str, debs: list[str], wheels: list[str]) -> str:
    """What an image was made of, one line each: for the person who wants to know, and for comparing two builds."""
    with open(os.path.join(os.path.dirname(root), "root.packages"), encoding="utf-8") as file:
        lines = [f"deb {line.strip()}" for line in file]
    lines += [f"file {os.path.basename(one)} sha256:{host.file_hash(one)}" for one in sorted(debs + wheels)]
    return "\n".join(sorted(lines)) + "\n"
