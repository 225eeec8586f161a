"""The system bus as the BlueZ stack uses it: calls with a time limit, signals, and objects of ours that are called.

A thin layer over dbus-fast's messages. Its service classes are left alone: they answer some calls by themselves and
hide what BlueZ has asked for, which we want to know. dbus-fast is imported when the bus is opened. It knows nothing of
Bluetooth.
"""

from __future__ import annotations

import asyncio
import os

from radios.ble.stack import BleDown, Reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    Call = Callable[[str, str, Any], tuple[str, list[Any]] | None]  # (interface, member, message) -> signature, body

PROPERTIES = "org.freedesktop.DBus.Properties"
MANAGER = "org.freedesktop.DBus.ObjectManager"
_DAEMON = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")
CALL_S = 10


class BusError(Exception):
    """A call failed; `name` is the D-Bus error's name, or "gone" or "late"."""

    def __init__(self, name: str, text: str = "") -> None:
        super().__init__(f"{name}: {text}" if text else name)
        self.name = name


class Bus:
    """One connection to the system bus. service: the name that calls go to.

    objects: path -> what answers calls to it. on_signal(path, interface, member, body) hears the matched signals,
    on_lost() that the connection has ended.
    """

    def __init__(self, service: str, on_signal: Callable[[str, str, str, list[Any]], None],
                 on_lost: Callable[[], None]) -> None:
        self.objects: dict[str, Call] = {}
        self._service = service
        self._on_signal = on_signal
        self._on_lost = on_lost
        self._bus: Any = None
        self._watch: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect. Raises BleDown: NO_PACKAGE, NO_DBUS, NO_PERMISSION."""
        try:
            from dbus_fast import BusType
            from dbus_fast.aio import MessageBus
            from dbus_fast.errors import AuthError
        except ImportError as error:
            raise BleDown(Reason.NO_PACKAGE, str(error.name)) from error
        try:
            bus = MessageBus(bus_type=BusType.SYSTEM, negotiate_unix_fd=True)
            self._bus = bus
            async with asyncio.timeout(CALL_S):
                await bus.connect()
        except (PermissionError, AuthError) as error:
            raise BleDown(Reason.NO_PERMISSION, str(error)) from error
        except (OSError, EOFError, ValueError) as error:
            raise BleDown(Reason.NO_DBUS, str(error)) from error
        bus.add_message_handler(self._message)
        self._watch = asyncio.get_running_loop().create_task(self._watch_end(bus))

    async def close(self) -> None:
        """Disconnect; nothing is called any more."""
        self._on_lost = _nothing
        bus, self._bus = self._bus, None
        if bus is not None:
            bus.disconnect()
        watch, self._watch = self._watch, None
        if watch is not None:
            await asyncio.wait([watch], timeout=1)
            watch.cancel()

    async def call(self, path: str, interface: str, member: str, signature: str = "",
                   body: Sequence[Any] = ()) -> list[Any]:
        """What the service's method gives. Raises BusError."""
        return await self._call(self._service, path, interface, member, signature, body)

    async def match(self, rule: str) -> None:
        """Hear the signals of a match rule."""
        await self._call(*_DAEMON, "AddMatch", "s", [rule])

    def signal(self, path: str, interface: str, member: str, signature: str, body: list[Any]) -> None:
        """Send a signal of ours. Raises BusError "gone"."""
        from dbus_fast import Message

        if self._bus is None or not self._bus.connected:
            raise BusError("gone")
        self._bus.send(Message.new_signal(path, interface, member, signature, body))

    async def _call(self, service: str, path: str, interface: str, member: str, signature: str,
                    body: Sequence[Any]) -> list[Any]:
        from dbus_fast import Message, MessageType

        if self._bus is None or not self._bus.connected:
            raise BusError("gone")
        message = Message(service, path, interface, member, signature=signature, body=list(body))
        try:
            async with asyncio.timeout(CALL_S):
                reply = await self._bus.call(message)
        except TimeoutError:
            raise BusError("late", f"no answer from {service} in {CALL_S} s") from None
        except (OSError, EOFError) as error:
            raise BusError("gone", str(error)) from error
        if reply.message_type is MessageType.ERROR:
            raise BusError(reply.error_name, str(reply.body[0]) if reply.body else "")
        return list(reply.body)

    def _message(self, message: Any) -> Any:
        """dbus-fast's handler: answers calls to our objects; None lets it answer by itself."""
        from dbus_fast import Message, MessageType

        if message.message_type is MessageType.SIGNAL:
            self._on_signal(message.path, message.interface, message.member, message.body)
            return None
        answer = self.objects.get(message.path) if message.message_type is MessageType.METHOD_CALL else None
        if answer is None:
            return None
        try:
            found = answer(message.interface, message.member, message)
        except BusError as error:
            return Message.new_error(message, error.name, str(error))
        if found is None:
            return Message.new_error(message, "org.freedesktop.DBus.Error.UnknownMethod", str(message.member))
        signature, body = found
        if not signature.startswith("h"):
            return Message.new_method_return(message, signature, body)
        descriptor = body[0]  # ours until it has been sent
        sent = self._bus.send(Message.new_method_return(message, signature, [0, *body[1:]], [descriptor]))
        sent.add_done_callback(lambda _sent: os.close(descriptor))
        return True

    async def _watch_end(self, bus: Any) -> None:
        try:
            await bus.wait_for_disconnect()
        except (OSError, EOFError):
            pass
        self._on_lost()


def text_of(properties: dict[str, Any], name: str) -> Any:
    """The value of a property that came as a variant; None where it is missing."""
    variant = properties.get(name)
    return variant.value if variant is not None else None


def _nothing() -> None:
    """Nobody listens any more."""
