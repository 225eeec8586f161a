"""The button, the light and the screen of the box: what somebody beside it can do and see.

Held for HOLD_S and let go, the button declares an emergency, or says that it is over; held for STOP_S it stops the
node, or lets it go on. Shorter touches do nothing. The light flickers as soon as letting go would do something, and
shows how things are otherwise; the screen is as bright as the policy's `display`. docs/EMERGENCY.md
"""

from __future__ import annotations

import asyncio

from edge.core import policy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from edge.emergency.keeper import Keeper

    class LightPort(Protocol):
        """A light that shows patterns by name: "off", "calm", "watch", "emergency", "recovery", "stopped", "held"."""

        def show(self, pattern: str) -> None:
            """Show it until another. Raises OSError."""

        def stop(self) -> None:
            """Give it back as it was. Raises OSError."""

    class ScreenPort(Protocol):
        """A screen that is "off", "dim" or "on"."""

        def show(self, level: str) -> None:
            """Be so until told otherwise. Raises OSError."""

        def stop(self) -> None:
            """Give it back as it was. Raises OSError."""

HOLD_S = 2.0
STOP_S = 8.0


class Panel:
    """light, screen: None where there is none. log(level, text) is told once when one of them can't be used."""

    def __init__(self, keeper: Keeper, light: LightPort | None, log: Callable[[str, str], None],
                 screen: ScreenPort | None = None) -> None:
        self.ends: list[Callable[[], None]] = []  # called by `stop`
        self._keeper = keeper
        self._light = light
        self._screen = screen
        self._log = log
        self._timer: asyncio.TimerHandle | None = None
        self._is_held = False  # for HOLD_S or more

    def changed(self, is_pressed: bool) -> None:
        """The button was pressed, or let go."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if is_pressed:
            self._is_held = False
            self._timer = asyncio.get_running_loop().call_later(HOLD_S, self._held)
        elif self._is_held:
            self._is_held = False
            over = self._keeper.status()["person"] != "none"
            self._keeper.declare("none" if over else "emergency", "button")
            self.follow()

    def follow(self) -> None:
        """Show how things are."""
        if not self._is_held:
            self._show(self._pattern())
        found = self._keeper.policy
        if self._screen is not None and found is not None:
            try:
                self._screen.show(policy.DISPLAY[found.display])
            except OSError as error:
                self._screen = None
                self._log("info", f"the brightness of the screen can't be set: {error}")

    def stop(self) -> None:
        """The node ends: button, light and screen are given back."""
        if self._timer is not None:
            self._timer.cancel()
        for end in self.ends:
            end()
        for one in (self._light, self._screen):
            try:
                if one is not None:
                    one.stop()
            except OSError:
                pass  # it was never ours

    def _held(self) -> None:
        self._is_held = True
        self._show("held")
        self._timer = asyncio.get_running_loop().call_later(STOP_S - HOLD_S, self._held_long)

    def _held_long(self) -> None:
        self._timer = None
        self._is_held = False
        if self._keeper.status()["stopped_here"]:
            self._keeper.resume("button")
        else:
            self._keeper.stop("button")
        self.follow()

    def _pattern(self) -> str:
        found = self._keeper.policy
        if found is not None and found.display == policy.OFF:
            return "off"
        if self._keeper.stopped():
            return "stopped"
        return str(self._keeper.status()["condition"]["state"])

    def _show(self, pattern: str) -> None:
        if self._light is None:
            return
        try:
            self._light.show(pattern)
        except OSError as error:
            self._light = None
            self._log("info", f"the light of the board can't be used: {error}")
