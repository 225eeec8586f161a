"""The first lines of the node's own interpreter: what it leaves out of the standard library, and why it may.

Run by tools/cli_run.py as a script with the number of an open file that holds what to run. asyncio drags in much that
a node never uses: OpenSSL (4 MiB; CPython can be built without it, and this process speaks no TLS), and modules that
serve only introspection, subprocesses and annotations (2 MiB). The former two are loaded when somebody first uses them.
docs/BENCH.md has the figures. Nothing else may be imported before that is done.
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Lazy(type(sys)):  # type: ignore[misc]
    """A module that is imported when an attribute that it was not given beforehand is first asked for."""

    def __getattr__(self, name):  # type: ignore[no-untyped-def]
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.load(), name)

    def load(self) -> "Any":
        """Import the real one, which takes this one's place."""
        own = self.__name__
        if sys.modules.get(own) is self:
            del sys.modules[own]
        __import__(own)
        real = sys.modules[own]
        self.__dict__.update(real.__dict__)
        return real


class Logger:
    """asyncio's and concurrent's, until one of them has something to log that would be shown: the real one then."""

    def __init__(self, name):  # type: ignore[no-untyped-def]
        self.name = name

    def debug(self, *said):  # type: ignore[no-untyped-def]
        """Below the level that is shown."""

    info = addHandler = debug  # the one handler that is added early prints what is printed without it as well

    def __getattr__(self, name):  # type: ignore[no-untyped-def]
        real = sys.modules["logging"]
        return getattr((real.load() if isinstance(real, Lazy) else real).getLogger(self.name), name)


class Anything:
    """What stands for a type in an annotation that nobody evaluates."""

    def __getitem__(self, item):  # type: ignore[no-untyped-def]
        return self

    def __call__(self, *args, **named):  # type: ignore[no-untyped-def]
        return args[-1] if args else self

    def __or__(self, other):  # type: ignore[no-untyped-def]
        return self

    __ror__ = __or__


class Typed:
    """Finds nothing, but sees what is imported: packages that look into their own annotations get the real typing."""

    @staticmethod
    def find_spec(name, path=None, target=None):  # type: ignore[no-untyped-def]
        if name in ("bleak", "dbus_fast"):
            sys.meta_path.remove(Typed)
            del sys.modules["typing"]
            __import__("typing")


def leave_out() -> None:
    """Arrange sys.modules; before asyncio is imported."""
    for name in ("ssl", "_ssl", "_hashlib"):
        sys.modules[name] = None  # type: ignore[assignment]
    flags = {"iscoroutinefunction": 0x80, "isgeneratorfunction": 0x20, "isasyncgenfunction": 0x200}
    _lazy("inspect", iscoroutine=_is_coroutine, isawaitable=lambda thing: hasattr(type(thing), "__await__"),
          isfunction=lambda thing: type(thing) is type(_unwrap), unwrap=_unwrap,
          **{name: _flag_test(flag) for name, flag in flags.items()})
    _lazy("subprocess", PIPE=-1, STDOUT=-2, DEVNULL=-3)
    # of TLS, of racing addresses, and the source lines of tasks that are printed
    for name in ("asyncio.sslproto", "asyncio.staggered", "linecache"):
        _lazy(name)
    traceback = _lazy("traceback")
    # _asyncio takes hold of this function when it is loaded
    traceback.extract_stack = lambda *args, **named: traceback.load().extract_stack(*args, **named)
    _lazy("logging", getLogger=Logger, StreamHandler=lambda: None, DEBUG=10)
    _bare_sqlite3()
    typing = type(sys)("typing")
    typing.__dict__.update(TYPE_CHECKING=False, Protocol=object, __getattr__=lambda name: Anything())
    sys.modules["typing"] = typing
    sys.meta_path.insert(0, Typed)


def _bare_sqlite3() -> None:
    """The C module without the part in Python, which only adds dates and times and loads datetime for them."""
    import _sqlite3

    module = type(sys)("sqlite3")
    module.__dict__.update(_sqlite3.__dict__, __name__="sqlite3")
    sys.modules["sqlite3"] = module


def _lazy(name: str, **known: object) -> Lazy:
    module = Lazy(name)
    module.__dict__.update(known)
    sys.modules[name] = module
    return module


def _flag_test(flag: int) -> object:
    def test(thing: object) -> bool:
        while type(thing).__name__ == "partial":
            thing = thing.func  # type: ignore[attr-defined]
        thing = getattr(thing, "__func__", thing)
        return bool(getattr(getattr(thing, "__code__", None), "co_flags", 0) & flag)

    return test


def _unwrap(thing: "Any") -> "Any":
    while hasattr(thing, "__wrapped__"):
        thing = thing.__wrapped__
    return thing


def _is_coroutine(thing: object) -> bool:
    return type(thing).__name__ == "coroutine"


def main() -> int:
    """Read what to run and run it; gives the exit code."""
    import marshal

    with open(int(sys.argv[1]), "rb") as file:
        start = marshal.load(file)
    sys.path[:] = start["path"]
    leave_out()
    if "warm" in start:
        for name in start["warm"]:
            module = __import__(name)
            if isinstance(module, Lazy):
                module.load()
        return 0
    from tools.run import main as run

    return run(start)


if __name__ == "__main__":
    sys.exit(main())
