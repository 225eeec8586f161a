"""The models of a node as everything else sees them: which there are, and which one does a job.

It is there from the start and loads next to nothing; the line, the worker and whatever they need come with the first
job. It follows the topic "policy" ({"models": "none", "small" or "full", "why": [text, ...]}).
"""

from __future__ import annotations

import asyncio
import os

from edge.errors import BadRequest, BusError, NotFound
from edge.models.catalogue import Catalogue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from typing import Any

    from edge.models.catalogue import Record
    from edge.models.host import Host
    from edge.models.session import Session
    from edge.ports import BusPort

FOLDER = "models"
POLICIES = ("none", "small", "full")
BEAT_S = 300  # of the follower, which else sleeps as long as nothing changes
_SETTING = {"chat": "chat", "complete": "chat", "embed": "embed"}


class Models:
    """A ModelsPort. directory: the node's; settings: section `models` of the configuration; log(level, text)."""

    def __init__(self, directory: str, settings: dict[str, Any], log: Callable[[str, str], None]) -> None:
        self.catalogue = Catalogue(os.path.join(directory, FOLDER), settings["quota_mb"] * 1000000)
        self._settings = settings
        self._log = log
        self.changed: Callable[[], None] = lambda: None  # to be set: called when there are other models than before
        self._host: Host | None = None
        self._policy = ("full", "")

    @property
    def session(self) -> Session | None:
        """The worker, if one has a model now."""
        return self._host.session if self._host is not None else None

    def able(self) -> set[str]:
        return {one for record in self.catalogue.records() for one in record.does}

    def rows(self) -> list[dict[str, Any]]:
        session = self.session
        rows = []
        for record in self.catalogue.records():
            row = record.row() | {"id": record.blob, "loaded": session is not None and session.record is record}
            del row["seen"], row["blob"]
            rows.append(row)
        return rows

    async def stream(self, job: dict[str, Any], model: str | None) -> AsyncGenerator[dict[str, Any], None]:
        record = self._choose(job["do"], model)
        parts = self._the_host().stream(record, job)
        try:
            async for part in parts:
                if "state" in part:
                    yield part | {"model": record.name}
                elif "text" in part:
                    yield part
                else:
                    yield {"end": part["done"] | {"model": record.name}}
        finally:
            await parts.aclose()

    def set_policy(self, policy: str, why: str) -> None:
        """What may run from now on: one of POLICIES."""
        self._policy = (policy, why)
        if self._host is not None:
            self._host.set_policy(policy, why)

    async def follow(self, bus: BusPort, beat: Callable[[], None]) -> None:
        """Follow the policy until cancelled."""
        changes = bus.subscribe("policy")
        try:
            while True:
                beat()
                try:
                    async with asyncio.timeout(BEAT_S):
                        _topic, value = await anext(changes)  # type: ignore[call-overload]
                except TimeoutError:
                    continue
                if value.get("models") in POLICIES:
                    self.set_policy(value["models"], "; ".join(value.get("why", ())))
        finally:
            changes.close()

    async def close(self) -> None:
        """End what goes on, and wait until the worker has gone."""
        if self._host is not None:
            await self._host.close()

    def _the_host(self) -> Host:
        if self._host is None:
            from edge.models.host import Host

            self._host = Host(self.catalogue, self._settings, self._log)
            self._host.set_policy(*self._policy)
        return self._host

    def _choose(self, does: str, model: str | None) -> Record:
        """The model that is named; else the one that is set, loaded already, or the largest that fits."""
        model = model or self._settings.get(_SETTING.get(does, ""), "") or None
        if model is not None:
            record = self.catalogue.find(model)
            if does not in record.does:
                can = ", ".join(one.name for one in self.catalogue.able(does))
                raise NotFound(f"{record.name} can't do that", where="model", allowed=can)
            return record
        able = self.catalogue.able(does)
        if not able:
            raise NotFound("no model that can do it is installed", where="model", hint="waypost model add FILE")
        if does == "classify" and len(able) > 1:  # no classifier stands for another
            raise BadRequest("which classifier?", where="model", allowed=", ".join(one.name for one in able))
        host = self._the_host()
        if host.session is not None and does in host.session.record.does:
            return host.session.record
        refused: BusError | None = None
        for record in able:
            try:
                host.admit(record)
                return record
            except BusError as error:
                refused = error
        raise refused or NotFound("no model fits")
