"""The leaf under both interpreters against a real node: both ways, forgeries, memory, restarts, how it is installed."""

from __future__ import annotations

import ast
import asyncio
import base64
import functools
import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from edge.compat import crypto
from edge.core import cbor, community, frame, hlc, limits
from edge.core import message as messages
from edge.node import Node
from edge.store.store import Store
from radios.lan.udp import UdpDriver
from tests.conformance.run import MICROPYTHON
from tests.conftest import ROOT
from tests.core.papers import key_of, order
from tests.emulation import weighs_memory
from tests.waiting import PATIENCE
from tools.dev import mplint

HEAP = "1m"
RSS_BYTES_MAX = 4_500_000
WAIT_S_MAX = 20 * PATIENCE
COMMUNITY = bytes(range(100, 132))

CPYTHON = [sys.executable]
MICRO = [MICROPYTHON, "-X", "heapsize=" + HEAP]
LEAVES = pytest.mark.parametrize("command,libsodium", [(CPYTHON, True), (MICRO, True), (MICRO, False)],
                                 ids=["cpython", "micropython", "micropython-pure"])


class Silent:
    """Stands in for bus and trace; what the node publishes comes out of `events`."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue()

    def publish(self, topic: str, value: dict[str, Any]) -> None:
        self.events.put_nowait((topic, value))

    def on_drained(self, link: str, handle: bytes) -> None:
        pass

    async def wait(self, topic: str, **fields: Any) -> dict[str, Any]:
        async with asyncio.timeout(WAIT_S_MAX):
            while True:
                seen, value = await self.events.get()
                if seen == topic and all(value.get(name) == field for name, field in fields.items()):
                    return value

    def followed(self, topic: str) -> bool:
        return True

    def effects(self, pending: list[Any]) -> None:
        pass

    on_frame = on_peer = lambda *arguments: None


@asynccontextmanager
async def running_node(folder: str, community_key: bytes | None = None) -> AsyncIterator[tuple[Node, Silent, int]]:
    store = Store.open(os.path.join(folder, "node.db"), 10**8, int(time.time()))
    silent = Silent()
    node = Node(seed=b"n" * 32, name="gateway", store=store, log=lambda level, text: None, trace=silent,
                clock=lambda: (time.time_ns() // 1000000, hlc.QUALITY_RTC))
    node.bus = silent
    node.boot()
    driver = UdpDriver({"port": 0}, b"n" * 32, node.key, community_key, node)
    await node.start_link(driver)
    try:
        yield node, silent, driver.port
    finally:
        await node.stop()
        store.close()


class Leaf:
    """A leaf in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.node = b""
        self.crypto = ""
        self.seen: list[dict[str, Any]] = []

    async def wait(self, event: str, **fields: Any) -> dict[str, Any]:
        """The next line of this kind; also one that came while we waited for another."""
        def fits(line: dict[str, Any]) -> bool:
            return line["event"] == event and all(line.get(name) == field for name, field in fields.items())

        for line in self.seen:
            if fits(line):
                return line
        assert self.process.stdout
        async with asyncio.timeout(WAIT_S_MAX):
            while True:
                raw = await self.process.stdout.readline()
                assert raw.startswith(b"{"), raw + await self.process.stdout.read()
                self.seen.append(json.loads(raw))
                if fits(self.seen[-1]):
                    return self.seen[-1]

    def status(self, name: str) -> int:
        """Bytes of a line of /proc/PID/status."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith(name + ":"))


def environment(root: str) -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", ""), "MICROPYPATH": ".frozen:" + root, "PYTHONPATH": root}


@asynccontextmanager
async def running_leaf(command: list[str], libsodium: bool, gateway: int, *options: str,
                       community_key: bytes | None = None, root: str = ROOT) -> AsyncIterator[Leaf]:
    variables = environment(root)
    if not libsodium:
        variables["WAYPOST_LIBSODIUM"] = "off"
    if community_key:
        options = (*options, "--community", community_key.hex())
    process = await asyncio.create_subprocess_exec(
        *command, "-m", "edge.leaf", "--port", str(free_port()), "--gateway", f"127.0.0.1:{gateway}", *options,
        env=variables, cwd=root, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
    leaf = Leaf(process)
    try:
        ready = await leaf.wait("ready")
        leaf.node, leaf.crypto = bytes.fromhex(ready["node"]), ready["crypto"]
        yield leaf
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.wait()
        process._transport.close()  # type: ignore[attr-defined]


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(main())


async def board(node: Node, text: str) -> bytes:
    return await node.post(messages.NOTICE, limits.LANE_COMMUNITY, 3600, None, {1: text})


@LEAVES
@pytest.mark.parametrize("key", [None, COMMUNITY], ids=["open", "community"])
def test_both_ways(tmp_path: Any, command: list[str], libsodium: bool, key: bytes | None) -> None:
    async def main() -> None:
        async with running_node(str(tmp_path), key) as (node, silent, port):
            before = await board(node, "posted before")
            options = ("--post", "from the leaf") if libsodium else ()
            async with running_leaf(command, libsodium, port, *options, community_key=key) as leaf:
                assert (leaf.crypto == "pure") == (not libsodium)
                peer = await leaf.wait("peer", up=True)
                assert peer["node"] == node.key.hex() and peer["name"] == "gateway"
                assert (await leaf.wait("message", text="posted before"))["id"] == before.hex()
                after = await board(node, "posted after: ü")
                assert (await leaf.wait("message", text="posted after: ü"))["id"] == after.hex()
                if libsodium:
                    ours = await leaf.wait("message", text="from the leaf")
                    await silent.wait("message", id=ours["id"])

    run(main)


@LEAVES
def test_a_halt_of_the_stewards_is_obeyed(tmp_path: Any, command: list[str], libsodium: bool) -> None:
    """An order with one signature changes nothing, one with two stops relaying, and a newer one lets it go on."""
    names = ("ann", "ben", "cas")
    keys = ",".join(key_of(name).hex() for name in names)
    options = ("--stewards", keys, "--needed", "2", "--community-name", "Delft")

    async def order_by(node: Node, epoch: int, scopes: int, *by: str) -> None:
        paper = order(epoch, scopes, *by, expires_s=int(time.time()) + 3600)
        await node.post(messages.HALT, limits.LANE_ALERT, 3600, None, {1: paper})

    async def main() -> None:
        async with (running_node(str(tmp_path)) as (node, silent, port),
                    running_leaf(command, libsodium, port, *options) as leaf):
            await leaf.wait("peer", up=True)
            await order_by(node, 5, 3, "ann")
            await order_by(node, 6, 2, "ann", "ben")
            assert (await leaf.wait("halt"))["scopes"] == ["relay"]
            await node.post(messages.NOTE, limits.LANE_ALERT, 3600, None, {1: "an alert still comes"})
            await leaf.wait("message", text="an alert still comes")
            await order_by(node, 4, 0, "ann", "ben")
            await order_by(node, 7, 0, "cas", "ben")
            assert (await leaf.wait("halt", scopes=[]))["scopes"] == []
            assert [line["scopes"] for line in leaf.seen if line["event"] == "halt"] == [["relay"], []]

    run(main)


@LEAVES
def test_another_community_is_not_heard(command: list[str], libsodium: bool) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_datagram_endpoint(Stranger, local_addr=("127.0.0.1", 0))
        ours = community.Mac(COMMUNITY, community.DATAGRAM)
        try:
            port = transport.get_extra_info("sockname")[1]
            async with running_leaf(command, libsodium, port, community_key=bytes(32)) as leaf:
                async with asyncio.timeout(WAIT_S_MAX):
                    theirs = await protocol.heard.get()
                    assert ours.take(theirs) is None and theirs[0] == frame.HELLO
                    hello = frame.pack_hello([1, 1], bytes(32), 0, 0, 15, "stranger", [])
                    transport.sendto(ours.put(hello), protocol.addr)
                    right = community.Mac(bytes(32), community.DATAGRAM)
                    transport.sendto(right.put(hello.replace(b"stranger", b"neighbor")), protocol.addr)
                assert (await leaf.wait("peer"))["name"] == "neighbor", "and the stranger before it was not heard"
        finally:
            transport.close()

    run(main)


class Stranger(asyncio.DatagramProtocol):
    """A neighbour made by hand, to say what no node would say."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[bytes] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.heard.put_nowait(data)
        self.addr = addr


def signed(seed: bytes, seq: int, text: str, time_s: int | None = None, **more: Any) -> bytes:
    fields = {"type": messages.NOTICE, "dest": None, "body": {1: text}, "lane": 2, **more}
    message = messages.build(seed, crypto.public_key(seed), seq, (time_s or int(time.time())) << 16, 3600,
                             fields["lane"], fields["type"], fields["dest"], fields["body"])
    data: bytes = message.data
    return data


@LEAVES
def test_what_a_stranger_sends(command: list[str], libsodium: bool) -> None:
    """A forged signature, noise, a message from 2099, a direct message: nothing of it stops the leaf."""
    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_datagram_endpoint(Stranger, local_addr=("127.0.0.1", 0))
        mac = community.Mac(COMMUNITY, community.DATAGRAM)
        try:
            port = transport.get_extra_info("sockname")[1]
            async with running_leaf(command, libsodium, port, community_key=COMMUNITY) as leaf:
                async with asyncio.timeout(WAIT_S_MAX):
                    assert mac.take(await protocol.heard.get())[0] == frame.HELLO
                seed = b"s" * 32
                good = signed(seed, 1, "good")
                forged = signed(seed, 2, "forged")
                forged = forged[:-1] + bytes([forged[-1] ^ 1])
                sealed = crypto.seal(leaf.node, cbor.encode({1: "for you alone", 2: crypto.public_key(seed)[:8]}))
                direct = signed(seed, 4, "", type=messages.DIRECT, dest=leaf.node, lane=1, body={3: sealed})
                hello = frame.pack_hello([1, 1], crypto.public_key(seed), 0, 0, 15, "stranger", [])
                batch = [forged, signed(seed, 3, "2099", 4070908800), direct, good, good]
                packed = [frame.pack_messages([one]) for one in batch]
                for data in (b"", b"\xff", b"\x09\0\0\0\0", os.urandom(1200), hello, *packed):
                    transport.sendto(mac.put(data), protocol.addr)
                transport.sendto(packed[-1], protocol.addr)  # no MAC
                await leaf.wait("message", text="good")
                if libsodium:
                    await leaf.wait("message", text="for you alone")
                    async with asyncio.timeout(WAIT_S_MAX):
                        while True:  # its receipt
                            data = mac.take(await protocol.heard.get())
                            if data[0] == frame.MESSAGES:
                                receipt = messages.parse(frame.unpack_messages(data)[0])
                                if receipt.type == messages.RECEIPT:
                                    break
                    assert receipt.dest == crypto.public_key(seed)
                transport.sendto(mac.put(frame.pack_messages([signed(seed, 9, "the end")])), protocol.addr)
                await leaf.wait("message", text="the end")
                texts = [line["text"] for line in leaf.seen if line["event"] == "message" and line["type"] == 1]
                assert texts == ["good", "the end"]
        finally:
            transport.close()

    run(main)


@pytest.mark.parametrize("command", [CPYTHON, MICRO], ids=["cpython", "micropython"])
def test_a_number_is_never_used_twice(tmp_path: Any, command: list[str]) -> None:
    async def main() -> None:
        async with running_node(str(tmp_path)) as (node, silent, port):
            seqs, keys = [], set()
            os.mkdir(tmp_path / "leaf")
            for i in range(3):
                options = ("--dir", str(tmp_path / "leaf"), "--post", f"life {i}")
                async with running_leaf(command, True, port, *options) as leaf:
                    line = await leaf.wait("message", text=f"life {i}")
                    await silent.wait("message", id=line["id"])
                    seqs.append(line["seq"])
                    keys.add(leaf.node)
            assert len(keys) == 1
            assert seqs == sorted(set(seqs)), "power was cut twice"
            assert "conflict" not in node.machine.counters
            if command is CPYTHON:
                assert os.stat(tmp_path / "leaf" / "leaf.key").st_mode & 0o077 == 0, "the key is its owner's alone"

    run(main)


@weighs_memory
def test_memory(tmp_path: Any) -> None:
    """Three times as many messages as the store holds go through, and the process stays small."""
    async def main() -> None:
        async with running_node(str(tmp_path)) as (node, _silent, port):
            await asyncio.gather(*[board(node, f"message {i} " + "x" * 60) for i in range(300)])
            async with running_leaf(MICRO, True, port) as leaf:
                await leaf.wait("peer")
                await asyncio.gather(*[board(node, f"message {i} " + "x" * 60) for i in range(300, 600)])
                await board(node, "the last one")
                await leaf.wait("message", text="the last one")
                rss = leaf.status("VmHWM")
                assert rss <= RSS_BYTES_MAX, f"{rss} bytes"
                print("resident", rss)

    run(main)


@pytest.mark.parametrize("command", [CPYTHON, MICRO], ids=["cpython", "micropython"])
@pytest.mark.parametrize(("options", "said"), [
    (["--gatway", "1.2.3.4:5"], "leaf: --gatway: known are --community"),
    (["--gateway", "pi.local:7373"], "leaf: --gateway: pi.local:7373 is not HOST:PORT"),
    (["--gateway", "10.0.0.1"], "leaf: --gateway: 10.0.0.1 is not HOST:PORT"),
    (["--gateway", "10.0.0.1:99999"], "leaf: --gateway: 10.0.0.1:99999 is not HOST:PORT"),
    (["--community", "open sesame"], "leaf: --community: not 32 bytes"),
    (["--community", "z" * 64], "leaf: --community: not 32 bytes"),
])
def test_wrong_options_say_so(command: list[str], options: list[str], said: str) -> None:
    done = subprocess.run([*command, "-m", "edge.leaf", *options], capture_output=True, text=True, check=False,
                          env=environment(ROOT))
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith(said) and done.stderr.count("\n") == 1


def test_the_key_that_waypost_prints_is_taken() -> None:
    from edge.leaf import _community

    key = bytes(range(32))
    assert _community(base64.b64encode(key).decode()) == _community(key.hex()) == key


# --- how it gets onto a device


def needed_files() -> list[str]:
    """What edge.leaf imports, one way or another, on MicroPython. It has no broadcast link: the core loads no radio."""
    found: set[str] = set()

    def visit(module: str) -> None:
        path = module.replace(".", "/")
        path = path + ".py" if os.path.exists(f"{ROOT}/{path}.py") else path + "/__init__.py"
        if path in found or path in ("edge/core/radio.py", "edge/core/beacon.py"):
            return
        if path in mplint.NOT_PORTABLE or not os.path.exists(f"{ROOT}/{path}"):
            return
        found.add(path)
        with open(f"{ROOT}/{path}", encoding="utf-8") as file:
            tree = ast.parse(file.read())
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("edge"):
                for name in (node.module, *[f"{node.module}.{alias.name}" for alias in node.names]):
                    visit(str(name))

    visit("edge")
    visit("edge.leaf")
    return sorted(found)


def packaged_files() -> list[str]:
    with open(f"{ROOT}/package.json", encoding="utf-8") as file:
        return [source for target, source in json.load(file)["urls"] if target == source]


def test_the_package_is_whole() -> None:
    assert sorted(packaged_files()) == needed_files()


def test_the_manifest_names_the_same_files() -> None:
    calls: list[tuple[tuple[str, ...], dict[str, Any]]] = []
    with open(f"{ROOT}/manifest.py", encoding="utf-8") as file:
        exec(file.read(), {"package": lambda *names, **more: calls.append((names, more))})
    (names, more), = calls
    assert names == ("edge",)
    assert [f"edge/{name}" for name in more["files"]] == packaged_files()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path != "/package.json":
            super().do_GET()
            return
        # the mip of 1.25 does not know relative addresses yet: give it whole ones
        with open(f"{ROOT}/package.json", encoding="utf-8") as file:
            package = json.load(file)
        base = f"http://127.0.0.1:{self.server.server_address[1]}/"
        package["urls"] = [[target, base + source] for target, source in package["urls"]]
        body = json.dumps(package).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        pass


def test_mip_installs_a_leaf_that_runs(tmp_path: Any) -> None:
    """MicroPython's own installer fetches the package over HTTP; what it wrote, and nothing else, gossips."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=ROOT))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_address[1]}"
        code = f"import mip; mip.install('{url}/package.json', target='{tmp_path}/lib', index='{url}')"
        done = subprocess.run([MICROPYTHON, "-c", code], capture_output=True, text=True, check=False,
                              env={"PATH": os.environ.get("PATH", ""), "MICROPYPATH": ".frozen"})
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert done.returncode == 0, done.stdout + done.stderr
    installed = [os.path.relpath(os.path.join(folder, name), f"{tmp_path}/lib")
                 for folder, _, names in os.walk(f"{tmp_path}/lib") for name in names]
    assert sorted(installed) == needed_files(), done.stdout

    async def main() -> None:
        async with running_node(str(tmp_path)) as (node, _silent, port):
            await board(node, "to the installed leaf")
            async with running_leaf(MICRO, True, port, root=f"{tmp_path}/lib") as leaf:
                await leaf.wait("message", text="to the installed leaf")

    run(main)
