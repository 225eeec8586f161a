"""Small by ratchet: sizes, names and imports that STYLE asks for. The numbers here only ever go down."""

from __future__ import annotations

import ast
import os
import re
import statistics

import pytest

from tests.conftest import ROOT

PACKAGES = ("edge", "radios", "boards", "tools")
LINES_MAX = 700
LINES_MEDIAN_MAX = 190
FUNCTION_LINES_MAX = 70
PUBLIC_NAMES_MAX = 8
SHELL_LINES_MAX = 300
# modules that are one table or vocabulary by nature; a new name here needs a reason, a number may only fall
PUBLIC_NAMES_ALLOWED: dict[str, int] = {
    "edge/errors.py": 20,  # one class an error code
    "edge/ports.py": 10,  # one shape for each part that services are handed
    "edge/core/frame.py": 15,  # a pack and an unpack for every kind
}
CORE_IMPORTS = {"edge.core", "edge.compat", "collections", "binascii", "struct"}
PORTABLE = ("edge/core/", "edge/compat/", "edge/sim/", "edge/leaf.py")


def sources(*tops: str) -> list[str]:
    out = []
    for top in tops:
        for folder, names, files in os.walk(os.path.join(ROOT, top)):
            names[:] = [n for n in names if not n.startswith((".", "__pycache__"))]
            out += [os.path.relpath(os.path.join(folder, f), ROOT) for f in files if f.endswith(".py")]
    return sorted(out)


def read(path: str) -> str:
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


MODULES = [path for path in sources(*PACKAGES) if os.path.getsize(os.path.join(ROOT, path))]


def test_modules_are_small() -> None:
    sizes = {path: read(path).count("\n") for path in MODULES}
    large = {path: size for path, size in sizes.items() if size > LINES_MAX}
    assert not large
    assert statistics.median(sizes.values()) <= LINES_MEDIAN_MAX
    assert sizes["edge/node.py"] <= SHELL_LINES_MAX


@pytest.mark.parametrize("path", MODULES)
def test_module(path: str) -> None:
    tree = ast.parse(read(path))
    assert ast.get_docstring(tree), "a module says what it decides and what it never does"
    public = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            public.append(node.name)
    assert len(public) <= PUBLIC_NAMES_ALLOWED.get(path, PUBLIC_NAMES_MAX), public
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            assert lines <= FUNCTION_LINES_MAX, f"{node.name} has {lines} lines"
            names = [a.arg for a in (*node.args.args, *node.args.kwonlyargs)]
            assert "timeout" not in names, f"{node.name}: say the unit of the timeout in its name"
        assert not isinstance(node, ast.Assert), f"line {getattr(node, 'lineno', 0)}: assert vanishes under -O"


@pytest.mark.parametrize("path", [p for p in MODULES if p.startswith("edge/core/")])
def test_core_is_closed(path: str) -> None:
    for node in ast.walk(ast.parse(read(path))):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found = [node.module or ""]
        else:
            found = []
        for name in found:
            assert any(name == ok or name.startswith(ok + ".") for ok in CORE_IMPORTS), f"{path} imports {name}"
        if isinstance(node, ast.Constant):
            assert not isinstance(node.value, float), f"{path}:{node.lineno}: a float in the core"
        if isinstance(node, ast.BinOp):
            assert not isinstance(node.op, ast.Div), f"{path}:{node.lineno}: / gives a float"


def test_nothing_of_the_workplace() -> None:
    """No path of one machine, no registry's host."""
    pattern = re.compile(r"/work/|/root/|pypi\.org|files\.pythonhosted|registry\.npmjs|deb\.debian\.org")
    for path in sources(*PACKAGES, "tests"):
        if path != "tests/test_tidy.py":
            assert not pattern.search(read(path)), path
    for path in ("README.md", "Makefile", "pyproject.toml", "CHANGELOG.md", ".ci/run", "tools/dev/setup.sh"):
        assert not pattern.search(read(path)), path
