"""A very small DevTools client: headless Chromium over --remote-debugging-pipe, nothing but the standard library.

Chromium reads commands from its file descriptor 3 and writes answers and events to 4, JSON ended by a zero byte.
"""

from __future__ import annotations

import asyncio
import base64
import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.waiting import PATIENCE

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-extensions",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-default-apps",
    "--disable-dev-shm-usage", "--disable-features=OptimizationHints,MediaRouter,Translate", "--hide-scrollbars",
    "--metrics-recording-only", "--no-default-browser-check", "--lang=en-US", "--remote-debugging-pipe",
)  # fmt: skip


class Browser:
    """One browser with one page. `requests` are the URLs asked for, `complaints` console errors and exceptions.

    flags and environment: beside the usual ones. on_event(method, params) hears what Chromium tells.
    """

    on_event: Callable[[str, dict[str, Any]], None] | None = None

    def __init__(self, profile: Path, *flags: str, environment: dict[str, str] | None = None) -> None:
        self._profile = profile
        self._flags = flags
        self._environment = os.environ | (environment or {})
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._next = 0
        self._session = ""
        self._rest = b""
        self._loaded = asyncio.Event()
        self.requests: list[str] = []
        self.complaints: list[str] = []

    async def __aenter__(self) -> Browser:
        self._start()
        asyncio.get_running_loop().add_reader(self._read_fd, self._readable)
        try:
            await self._attach()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    def _start(self) -> None:
        assert CHROMIUM
        from_us, self._write_fd = os.pipe()
        self._read_fd, to_us = os.pipe()

        def place_pipes() -> None:  # in the child: exactly 3 and 4, whatever numbers the pipes have
            reading, writing = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (from_us, to_us))
            os.dup2(reading, 3)
            os.dup2(writing, 4)

        self._process = subprocess.Popen(
            [CHROMIUM, *FLAGS, *self._flags, f"--user-data-dir={self._profile}", "about:blank"],
            close_fds=False, env=self._environment, preexec_fn=place_pipes,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(from_us)
        os.close(to_us)

    async def _attach(self) -> None:
        target = await self("Target.createTarget", url="about:blank")
        attached = await self("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            await self(f"{domain}.enable")

    async def __aexit__(self, *_: object) -> None:
        self._session = ""
        try:
            async with asyncio.timeout(10 * PATIENCE):
                await self("Browser.close")
        except (TimeoutError, BrokenPipeError):
            self._process.kill()
        asyncio.get_running_loop().remove_reader(self._read_fd)
        os.close(self._write_fd)
        os.close(self._read_fd)
        try:
            self._process.wait(10 * PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    async def __call__(self, method: str, **params: Any) -> dict[str, Any]:
        self._next += 1
        number = self._next
        command: dict[str, Any] = {"id": number, "method": method, "params": params}
        if self._session:
            command["sessionId"] = self._session
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        os.write(self._write_fd, json.dumps(command).encode() + b"\0")
        async with asyncio.timeout(30 * PATIENCE):
            return await answer

    def _readable(self) -> None:
        data = os.read(self._read_fd, 1 << 20)
        if not data:
            asyncio.get_running_loop().remove_reader(self._read_fd)  # it is gone; whoever waits runs into a deadline
        *whole, self._rest = (self._rest + data).split(b"\0")
        for text in whole:
            event = json.loads(text)
            waiting = self._answers.pop(event.get("id", 0), None)
            if waiting is not None and not waiting.done():
                if "error" in event:
                    waiting.set_exception(RuntimeError(str(event["error"])))
                else:
                    waiting.set_result(event["result"])
            self._note(event.get("method", ""), event.get("params", {}))

    def _note(self, method: str, params: dict[str, Any]) -> None:
        if self.on_event is not None:
            self.on_event(method, params)
        if method == "Page.loadEventFired":
            self._loaded.set()
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.complaints.append(details.get("exception", {}).get("description") or details["text"])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.complaints.append(str([arg.get("value") for arg in params["args"]]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.complaints.append(params["entry"]["text"] + " " + params["entry"].get("url", ""))

    async def size(self, width: int, height: int, *, dark: bool = False, phone: bool = False) -> None:
        await self("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self("Emulation.setEmulatedMedia", features=[scheme])

    async def open(self, url: str) -> None:
        self._loaded.clear()
        await self("Page.navigate", url=url)
        async with asyncio.timeout(30 * PATIENCE):
            await self._loaded.wait()

    async def eval(self, script: str) -> Any:
        """The value of a JavaScript expression in the page; promises are awaited."""
        answer = await self("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{script}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    async def until(self, script: str, seconds: float = 15) -> Any:
        """Wait until a JavaScript expression is true; the page asks itself every 20 ms."""
        ask = f"const value = {script}; value ? ok(value) : --left ? setTimeout(ask, 20) : ok(null);"
        look = f"new Promise(ok => {{ let left = 250; const ask = () => {{ {ask} }}; ask(); }})"
        async with asyncio.timeout(seconds):
            while (value := await self.eval(look)) is None:
                pass
            return value

    async def type(self, selector: str, text: str) -> None:
        await self.eval(f"document.querySelector({json.dumps(selector)}).focus()")
        await self("Input.insertText", text=text)

    async def click(self, selector: str) -> None:
        """Press and release the mouse in the middle of an element."""
        element = f"document.querySelector({json.dumps(selector)})"
        x, y = await self.eval(f"(e => {{ e.scrollIntoView({{block: 'center'}}); const r = e.getBoundingClientRect(); "
                               f"return [r.x + r.width / 2, r.y + r.height / 2] }})({element})")
        for kind in ("mousePressed", "mouseReleased"):
            await self("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    async def shot(self, *, whole: bool = False) -> bytes:
        """A PNG of what is seen, or of the whole page."""
        answer = await self("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        return base64.b64decode(answer["data"])

    async def key(self, name: str, *, ctrl: bool = False) -> None:
        """Press and release one key, "Tab" or "Enter"."""
        code = {"Tab": 9, "Enter": 13}[name]
        for kind in ("rawKeyDown", "keyUp"):
            await self("Input.dispatchKeyEvent", type=kind, key=name, code=name, windowsVirtualKeyCode=code,
                       modifiers=2 if ctrl else 0)
