"""What doctor says of local models: the packages that run them, the kernel's part in locking a worker in, the files.

A missing package is broken only where a model that is installed needs it. Nothing is loaded, and no file is read whole.
"""

from __future__ import annotations

import os
from importlib.util import find_spec

from edge.models import budget, sandbox
from edge.models.catalogue import END, Catalogue
from edge.models.front import FOLDER
from tools import cli_show as show
from tools.box import bootfs
from tools.doctor_host import BROKEN, NOTE, OK, Finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from edge.settings import Config

_RUNS = (
    ("gguf", ("llama_cpp",), "llama-cpp-python, which runs language models",
     "make models, or pip install 'waypost[llama]'"),
    ("tflite", ("ai_edge_litert", "tflite_runtime"), "ai-edge-litert, which runs TFLite classifiers",
     "pip install 'waypost[classify]'"),
)


def models(directory: str, config: Config) -> list[Finding]:
    """All findings about local models."""
    if not config["models.enabled"]:
        return []
    catalogue = Catalogue(os.path.join(directory, FOLDER), config["models.quota_mb"] * 1000000)
    records = catalogue.records()
    kinds = {record.kind for record in records}
    out = []
    for kind, modules, what, fix in _RUNS:
        if all(find_spec(module) is None for module in modules):
            needed = kind in kinds
            said = "is missing, and a model here needs it" if needed else "is missing"
            if os.path.exists(bootfs.FACTS):  # an image has what it has
                fix = "waypost update apply, with an image that has it" if needed else ""
            out.append(Finding("models", BROKEN if needed else NOTE, f"{what}, {said}", fix))
    if records:
        out += _sandbox()
    for path in unreadable(directory, config):
        out.append(Finding("models", BROKEN, f"{os.path.basename(path)} can't be read",
                           "waypost repair moves it aside; then add the model again"))
    for record in records:
        path = catalogue.path(record.blob)
        size = os.path.getsize(path) if os.path.exists(path) else -1
        if size != record.bytes:
            said = "is not there" if size < 0 else f"has {size} bytes instead of {record.bytes}"
            out.append(Finding("models", BROKEN, f"the file of {record.name} {said}",
                               f"waypost model remove {record.name}, and add it again"))
    if records and not any(one.state == BROKEN for one in out):
        room = budget.available_bytes() - budget.RESERVE_BYTES
        names = ", ".join(record.name for record in records)
        out.append(Finding("models", OK, f"{names}: {show.size(catalogue.used_bytes())} of "
                           f"{show.size(catalogue.quota_bytes)}; {show.size(max(0, room))} of memory to run one in"))
    return out


def unreadable(directory: str, config: Config) -> list[str]:
    """The paths of models' records that can't be read."""
    catalogue = Catalogue(os.path.join(directory, FOLDER), config["models.quota_mb"] * 1000000)
    known = {record.name for record in catalogue.records()}
    try:
        names = sorted(one for one in os.listdir(catalogue.directory) if one.endswith(END))
    except OSError:
        return []
    return [os.path.join(catalogue.directory, name) for name in names if name.removesuffix(END) not in known]


def _sandbox() -> list[Finding]:
    has = sandbox.supported()
    lacks = [name for name, there in (("Landlock", has["landlock"]), ("seccomp", has["seccomp"])) if not there]
    if not lacks:
        return []
    return [Finding("models", NOTE, f"this kernel has no {' and no '.join(lacks)}: a worker that a bad model file has "
                    "taken over could reach more than it should",
                    "take models from people you trust, or a kernel of 5.13 or newer that has both")]
