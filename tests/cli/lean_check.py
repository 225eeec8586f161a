"""Run by test_lean.py in an interpreter of its own: the stand-ins of tools/lean.py behave like the originals."""

import functools
import importlib.util
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))


def load_lean():
    spec = importlib.util.spec_from_file_location("lean", os.path.join(ROOT, "tools", "lean.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def things():
    async def coroutine():
        pass

    async def async_generator():
        yield 1

    def generator():
        yield 1

    class Thing:
        async def method(self):
            pass

        def plain(self):
            pass

        def __await__(self):
            yield 1

    running = coroutine()
    running.close()
    return [coroutine, async_generator, generator, Thing, Thing().method, Thing().plain, Thing(), running, len, 3, None,
            generator(), lambda: 1, os.path.join, functools.partial(coroutine), functools.partial(generator, 1)]


NAMES = ("iscoroutinefunction", "isgeneratorfunction", "isasyncgenfunction", "iscoroutine", "isawaitable", "isfunction")


def verdicts(module):
    return [[bool(getattr(module, name)(thing)) for thing in things()] for name in NAMES]


def main():
    import inspect as real

    wanted = verdicts(real)
    for name in ("inspect", "ast", "dis", "typing", "importlib.util", "subprocess"):
        sys.modules.pop(name, None)
    lean = load_lean()
    for name in ("inspect", "ast", "dis", "typing", "subprocess", "logging", "traceback", "linecache", "tokenize"):
        sys.modules.pop(name, None)
    lean.leave_out()
    import asyncio
    import inspect
    import logging
    import signal
    import sqlite3
    import subprocess
    import traceback
    import typing

    print("verdicts", verdicts(inspect) == wanted)

    async def work():
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, lambda: None)
        server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        await reader.read()
        writer.close()
        server.close()
        async with asyncio.timeout(5):
            await asyncio.to_thread(lambda: None)

    asyncio.run(work())
    db = sqlite3.connect(":memory:")
    try:
        db.execute("SELECT nothing")
    except sqlite3.OperationalError as error:
        print("sqlite3", db.execute("SELECT ?", (b"x",)).fetchone() == (b"x",), isinstance(error, sqlite3.Error))
    db.close()

    class Port(typing.Protocol):
        def call(self, what: int | None, other: "typing.Any | None" = None) -> list[int]: ...

    print("typing", Port is not None)
    logger = logging.getLogger("asyncio")
    logger.debug("not shown")
    late = isinstance(sys.modules["logging"], lean.Lazy)
    logger.setLevel(50)
    print("logging", late, logging.getLevelName(logging.getLogger("asyncio").level), logger.isEnabledFor(40))
    heavy = ("ssl", "ast", "dis", "datetime", "lzma", "bz2", "_ssl", "_hashlib")
    print("left out", [name for name in heavy if sys.modules.get(name) is not None])
    late = isinstance(sys.modules["traceback"], lean.Lazy)
    try:
        raise ValueError("here")
    except ValueError as error:
        print("traceback", late, "ValueError: here" in "".join(traceback.format_exception(error)))
    child = subprocess.run([sys.executable, "-c", "print(6 * 7)"], stdout=subprocess.PIPE, check=True)
    print("subprocess", child.stdout.strip() == b"42")
    print("inspect", str(inspect.signature(lambda a, b=1: None)))


main()
