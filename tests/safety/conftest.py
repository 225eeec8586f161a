"""Close what the nodes of a test have open."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.safety import kit


@pytest.fixture(autouse=True)
def closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    made: list[kit.Hall] = []
    boot = kit.Hall.boot

    def noted(hall: kit.Hall) -> None:
        if hall not in made:
            made.append(hall)
        boot(hall)

    monkeypatch.setattr(kit.Hall, "boot", noted)
    yield
    for hall in made:
        hall.store.close()
