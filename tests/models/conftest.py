"""Models for these tests, made once; and tests that are coroutine functions are run."""

from __future__ import annotations

import asyncio
import inspect

import pytest

from tests.waiting import PATIENCE
from tools.bench import random_gguf


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a coroutine function with its fixtures, on a loop of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model of 147 KB."""
    return random_gguf.write(str(tmp_path_factory.mktemp("models") / "tiny.gguf"))


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model of 4 MB; on a slow machine one as small as the other, which takes as long there."""
    shape = random_gguf.SMALL if PATIENCE == 1 else random_gguf.TINY
    return random_gguf.write(str(tmp_path_factory.mktemp("models") / "small.gguf"), shape, seed=2)
