"""The running node, put together: lock, identity, store, core, bus, control socket, page, links, in this order.

It is the one place that knows all parts. It decides the order of start and stop and what is said about it: "ready" only
when everything that will start has started. A part that can't start is trouble to be shown, never the end of the node;
without its directory, its identity or its store there is no node. It runs in the lean interpreter of tools/lean.py, so
nothing heavy may be imported here.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from importlib import import_module

from edge import keys
from edge.bus.bus import Bus
from edge.caller import ANCHOR, MEMBER, TRUSTED, UNKNOWN
from edge.console.control import LINK as LOCAL_LINK
from edge.console.control import ControlServer
from edge.errors import LinkError, StoreError, WaypostError
from edge.node import Node, monotonic_ms
from edge.settings import AP_ADDRESS, Config
from edge.store.lock import DirLock
from edge.store.store import Store
from edge.tasks import Tasks
from edge.trace import Log, Trace
from tools import clock, metrics, run_body, run_emergency, run_library
from tools.run_guard import Guard, notify

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from edge.core.link import Driver

LOCK_NAME = "waypost.lock"
CARD = "the card can't keep data, all new is forgotten at power-off; put in a new card"
DATABASE_NAME = "waypost.db"
MEMBERS_MAX = 256  # authors of reports that are remembered as members


def main(start: dict[str, Any]) -> int:
    """Run the node that `start` (tools/cli_run.py) describes until a signal ends it; gives the exit code."""
    os.umask(0o077)  # what a node writes is its owner's
    lock = DirLock(os.path.join(start["dir"], LOCK_NAME))
    try:
        lock.acquire()
        try:
            asyncio.run(Run(start).until_stopped())
        finally:
            lock.release()
    except WaypostError as error:
        from tools.cli import report

        return report(error, start["json"])
    return 0


class Run:
    """One run of a node, from its directory to its last line."""

    def __init__(self, start: dict[str, Any]) -> None:
        self.directory: str = start["dir"]
        self.start = start
        self.config = Config(start["settings"])
        self.trace = Trace()
        secrets = (self.config["community.key"], self.config["lora.psk"], self.config["library.paid_key"])
        self.log = Log(self.config["log.level"], self.trace, secrets)
        self.guard = Guard(start, self.log)
        self.panel: Any = None
        self.web: Any = None
        self.models: Any = None
        self.supply: Any = None
        self.desk: Any = None
        self._members: dict[bytes, None] = {}  # authors that were heard as such

    async def until_stopped(self) -> None:
        """Start everything, say so, wait for SIGTERM or SIGINT, stop everything. Raises WaypostError."""
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopped.set)
        for problem in self.start["problems"]:
            self.log("error", f"{problem} (safe defaults are used)")
        seed, made = keys.load_or_create(self.directory)
        quota_bytes = self.config["store.quota_mb"] * 1000000
        database = os.path.join(self.directory, DATABASE_NAME)
        store = Store.open(database, quota_bytes, clock.read()[0] // 1000, key_is_new=made)
        try:
            self.node = Node(seed=seed, name=self._name(), store=store, clock=clock.read, log=self.log,
                             trace=self.trace, community_key=self.config.community_key())
            self.bus = Bus(self._send, self._trust_of, monotonic_ms, self.node.key, trace=self.trace.call,
                           log=self.log, pack=self._pack)
            self.control = ControlServer(self.directory, self.bus)
            self.node.bus = self.bus
            self.tasks = Tasks(self.node.trouble)
            well = False
            try:
                await self._start(seed, store)
                gc.collect()
                gc.freeze()  # what is there now stays: later collections need not look at it
                self._ready()
                self.guard.watch(self.node, self.tasks)
                await stopped.wait()
                well = True
                self.log("info", "stopping")
                notify("STOPPING=1")
            finally:
                self.guard.stop(well=well)
                await self._stop()
        finally:
            store.close()

    async def _start(self, seed: bytes, store: Store) -> None:
        if self.start.get("card"):
            self.node.troubles["card"] = ("memory", f"{CARD}: {self.start['card']}")
        if self.start["problems"]:
            self.node.troubles["config"] = ("config", "; ".join((*self.start["problems"], "safe defaults are used")))
        self.guard.tell(self.node.trouble)
        self._provide(seed, store)
        self.node.boot()
        self._provide_safety(store)
        keeper = run_emergency.provide(self.config, self.node, self.bus, store, self.log)
        keeper.alerts = self.safety
        run_emergency.start(self.config, self.tasks, keeper, self.node.trouble, safe=self.guard.safe)
        if not self.guard.safe:
            self.panel = run_body.start(self.start["board"], self.config, self.directory, self.tasks, keeper,
                                        self.node.trouble, self.log)
        try:
            await self.control.start()
        except LinkError as error:
            self.node.trouble("control", error.code, str(error))
        if self.config["web.enabled"]:
            await self._start_web()
        for name, dotted, settings in self.start["links"]:
            driver = self._driver(name, dotted, settings, seed)
            if driver is not None:
                await self.node.start_link(driver)
        if self.node.aired.radios():
            from edge.services import provide_radio

            provide_radio(self.bus, self.node)
        if self.node.aired.text_links() and self.config["texts.enabled"] and not self.guard.safe:
            self._start_texts(store)

    def _start_texts(self, store: Store) -> None:
        from edge.core.rng import Rng
        from edge.services.texts.service import QUIET_MS, Texts

        try:
            people = store.people()
        except StoreError:
            people = []  # the store says what is wrong with it
        texts = Texts(self.node, self.bus, store, now_s=self.node.now_s, rng=Rng(os.urandom(16)), log=self.log,
                      settings=self.config.section("texts"), people=people, keep=self.node.keep_people)
        self.tasks.start("texts", texts.run, quiet_ms=QUIET_MS)

    async def _stop(self) -> None:
        if self.panel is not None:
            self.panel.stop()
        if self.web is not None:
            await self.web.stop()
        await self.control.stop()
        await self.tasks.stop()
        if self.models is not None:
            await self.supply.close()
            await self.models.close()
        await self.bus.close()
        if self.desk is not None:
            self.desk.close()
        await self.node.stop()

    def _provide(self, seed: bytes, store: Store) -> None:
        from edge.services import provide_all

        if self.config["triage.enabled"] and not self.guard.safe:
            from edge.triage.late import LateJudge

            self.node.hints.start(LateJudge(self.log, use_model=self.config["triage.model"]))
        provide_all(self.bus, self.node, store, seed=seed, now_s=self.node.sure_s, version=self.start["version"],
                    recent=self.trace.rows, hints=self.node.hints)
        if not self.guard.safe:
            self.desk = run_library.provide(self.directory, self.config, self.node, self.bus, self.start["library"])
        if self.config["models.enabled"] and not self.guard.safe:
            self._provide_models()

    def _provide_models(self) -> None:
        from edge.models.front import BEAT_S, Models
        from edge.models.supply import Supply
        from edge.services.blobs import Blobs
        from edge.services.models import ModelServices

        self.models = models = Models(self.directory, self.config.section("models"), self.log)
        ModelServices(self.bus, models).provide()
        self.supply = supply = Supply(models.catalogue, self.log, lambda: models.changed())
        for service in Blobs(self.bus, self.node, supply).services():
            service.provide(self.bus)
        supply.watch_sticks(self._on_sticks)
        self.tasks.start("models", lambda beat: models.follow(self.bus, beat), quiet_ms=2000 * BEAT_S)

    def _on_sticks(self, offers: list[dict[str, Any]]) -> None:
        for one in offers:
            self.log("info", f"a stick offers the model {one['name']}: waypost model list")
        self.bus.publish("sticks", {"offers": len(offers)})

    def _provide_safety(self, store: Store) -> None:
        from edge.services.safety import TICK_S, Safety

        settings = {**self.config.section("alerts"), "community": self.config.section("community")}
        self.safety = Safety(self.node, store, settings, sure_s=self.node.sure_s, trust_of=self._author_trust,
                             count=self.node.machine.count, trouble=self.node.trouble)
        self.safety.provide(self.bus)
        self.safety.begin(self.bus)
        self.tasks.start("alerts", self.safety.follow, quiet_ms=3000 * TICK_S)
        if self.config["alerts.feed"] and not self.guard.safe:
            from tools.feeds import IMPORT_S, PART, Feed

            feed = Feed(self.config["alerts.feed"], self.directory, self.log, self.node.trouble)
            self.tasks.start(PART, feed.follow, quiet_ms=2000 * IMPORT_S)

    async def _start_web(self) -> None:
        try:
            from edge.web.server import WebServer
        except ImportError as error:
            self.node.trouble("web", "missing", f"the page needs the package {error.name}: pip install {error.name}")
            return
        self.web = WebServer(self.bus, self.node, metrics=self._metrics, trouble=self.node.trouble,
                             models_api=self.models is not None and self.config["models.api"],
                             portal=AP_ADDRESS if self.config["net.wifi"] != "off" else "",
                             phone_page=self.config["web.phone_page"])
        self.node.web = self.web
        await self.web.start(self.config["web.host"], self.config["web.port"])

    def _driver(self, name: str, dotted: str, settings: dict[str, Any], seed: bytes) -> Driver | None:
        module, _, class_name = dotted.partition(":")
        try:
            kind = getattr(import_module(module), class_name)
        except (ImportError, AttributeError) as error:
            self.node.trouble(name, "missing", f"the driver {dotted} can't be loaded: {error}")
            return None
        try:
            driver: Driver = kind(settings, seed, self.node.key, self.config.community_key(), self.node, name)
        except TypeError as error:  # a class of another kind, named by a board file
            self.node.trouble(name, "missing", f"{dotted} is no driver: {error}")
            return None
        return driver

    def _send(self, link: str, handle: bytes, lane: int, frame: bytes) -> bool:
        if link == LOCAL_LINK:
            return self.control.send(handle, frame)
        return self.node.send(link, handle, lane, frame)

    def _pack(self, link: str, handle: bytes, payload: bytes) -> list[bytes]:
        return [payload] if link == LOCAL_LINK else self.node.machine.pack_bus(link, handle, payload)

    def _trust_of(self, key: bytes | None, member: bool) -> int:
        if key is not None:
            text = key.hex()
            if text in self.config["trust.anchors"]:
                return ANCHOR
            if text in self.config["trust.trusted"]:
                return TRUSTED
            return MEMBER if member else UNKNOWN
        return UNKNOWN  # a recorded datagram has a good MAC as well; leaves sign what they say

    def _author_trust(self, key: bytes) -> int:
        """What a signature of that author is worth where neighbours must agree: who was heard as a member when it spoke
        is one also when its mains have failed since."""
        if key not in self._members and (key == self.node.key or self.node.machine.is_member(key)):
            if len(self._members) >= MEMBERS_MAX:
                del self._members[next(iter(self._members))]
            self._members[key] = None
        return self._trust_of(key, key in self._members)

    def _metrics(self) -> str:
        status = self.node.status()
        status["counters"] |= self.bus.counters
        return metrics.text(status, self.node.peers())

    def _name(self) -> str:
        name = self.config["node.name"] or os.uname().nodename
        return name.encode()[:64].decode("utf-8", "ignore")

    def _ready(self) -> None:
        port = self.web.port if self.web is not None else 0
        host = self.config["web.host"]
        if host in ("", "0.0.0.0", "::"):
            host = "localhost"
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}" if port else None
        links = {name: facts.get("port") for name, facts in self.node.status()["links"].items()}
        if self.start["json"]:
            import json

            text = json.dumps({
                "event": "ready", "node": self.node.key.hex(), "web": url, "name": self.node.name, "pid": os.getpid(),
                "dir": self.directory, "links": links, "problems": self.start["problems"],
            }, separators=(",", ":"))
        else:
            shown = ", ".join(f"{name} on port {port}" if port else name for name, port in links.items())
            text = (f"waypost: ready\n  node  {self.node.key.hex()}\n  name  {self.node.name}\n"
                    f"  page  {url or 'none'}\n  links {shown or 'none'}\n  dir   {self.directory}")
        try:
            sys.stdout.write(text + "\n")
            sys.stdout.flush()
        except OSError:  # whoever started us listens no more; nothing else is ever printed
            sys.stdout = None
        notify("READY=1")

