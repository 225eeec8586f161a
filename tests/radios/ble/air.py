"""Virtual Bluetooth radios: bumble's controllers, hosts and GATT on one link, in this process.

Everything that crosses the air is a packet of the real protocols (HCI, L2CAP, ATT); nothing is imitated but the radio
itself. `Air` mends what bumble's link gets wrong for us, cuts connections, and counts what waits in the stacks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from bumble import controller, core, hci, ll
from bumble.device import Device
from bumble.host import Host
from bumble.link import LocalLink
from bumble.transport.common import AsyncPipeSink

ADVERT_MS = 20


class Air(LocalLink):
    """What connects the radios. `on_data(sender, data)` False: this packet is lost, and with it the connection."""

    def __init__(self) -> None:
        super().__init__()
        self.on_data: Callable[[controller.Controller, bytes], bool] | None = None
        self.deaf: set[tuple[controller.Controller, controller.Controller]] = set()  # (who speaks, who can't hear it)
        self.packets = 0
        self.bytes_per_s = 0  # of each sender; 0: as fast as it goes
        self._free_s: dict[controller.Controller, float] = {}

    def send_acl_data(self, sender_controller: controller.Controller, destination_address: hci.Address,
                      transport: core.PhysicalTransport, data: bytes) -> None:
        """Bumble's always comes from the sender's random address; here from the connection's own."""
        connection = sender_controller.le_connections.get(destination_address)
        receiver = self.find_le_controller(destination_address)
        if connection is None or receiver is None:
            return
        self.packets += 1
        if self.on_data is not None and not self.on_data(sender_controller, data):
            self.cut(sender_controller, destination_address)
            return
        loop = asyncio.get_running_loop()
        if not self.bytes_per_s:
            loop.call_soon(receiver.on_link_acl_data, connection.self_address, transport, data)
            return
        begins_s = max(self._free_s.get(sender_controller, 0), loop.time())
        self._free_s[sender_controller] = ends_s = begins_s + len(data) / self.bytes_per_s
        loop.call_at(ends_s, receiver.on_link_acl_data, connection.self_address, transport, data)

    def send_advertising_pdu(self, sender_controller: controller.Controller, packet: ll.AdvertisingPdu) -> None:
        """Only to those who hear the sender. A request to connect arrives at once: two can't cross on one channel."""
        loop = asyncio.get_running_loop()
        for other in list(self.controllers):
            if other is sender_controller or (sender_controller, other) in self.deaf:
                continue
            if isinstance(packet, ll.ConnectInd):
                other.on_ll_advertising_pdu(packet)
            else:
                loop.call_soon(other.on_ll_advertising_pdu, packet)

    def send_ll_control_pdu(self, sender_address: hci.Address, receiver_address: hci.Address,
                            packet: ll.ControlPdu) -> None:
        """Who has left the air hears nothing; bumble's raises."""
        if self.find_le_controller(receiver_address) is not None:
            super().send_ll_control_pdu(sender_address, receiver_address, packet)

    def cut(self, one: controller.Controller, address: hci.Address) -> None:
        """Both ends of a connection lose each other, as after a supervision timeout."""
        other = self.find_le_controller(address)
        ends = [(one, address)]
        if other is not None and address in one.le_connections:
            ends.append((other, one.le_connections[address].self_address))
        for end, peer in ends:
            if peer in end.le_connections:
                end.on_le_disconnected(end.le_connections[peer], hci.HCI_CONNECTION_TIMEOUT_ERROR)


class Controller(controller.Controller):
    """A controller without extended advertising, as on a Raspberry Pi, that can be pulled, and that does what it is
    told where bumble's says yes and goes on: it is quiet after a reset, and gives up a connection."""

    def on_hci_reset_command(self, command: Any) -> Any:
        """Vol 4, Part E, 7.3.2: nothing goes on, and nobody is connected; those who were lose us."""
        self.le_scan_enable = False
        self.le_legacy_advertiser.stop()
        self.pending_le_connection = None
        for address, lost in list(self.le_connections.items()):
            del self.le_connections[address]
            other = self.link.find_le_controller(address) if self.link else None
            if other is not None and lost.self_address in other.le_connections:
                other.on_le_disconnected(other.le_connections[lost.self_address], hci.HCI_CONNECTION_TIMEOUT_ERROR)
        return super().on_hci_reset_command(command)

    def on_hci_le_create_connection_cancel_command(self, command: Any) -> Any:
        """Vol 4, Part E, 7.8.13: the pending connection fails as unknown."""
        if self.pending_le_connection is not None:
            self._fail_pending(hci.HCI_UNKNOWN_CONNECTION_IDENTIFIER_ERROR)
        return super().on_hci_le_create_connection_cancel_command(command)

    def create_le_connection(self, peer_address: hci.Address) -> None:
        """Two nodes have one connection at most; bumble's goes on trying while there is one."""
        if peer_address in self.le_connections:
            self._fail_pending(hci.HCI_CONNECTION_ALREADY_EXISTS_ERROR)
            return
        super().create_le_connection(peer_address)
        other = self.link.find_le_controller(peer_address) if self.link else None
        if other is None or self.le_connections[peer_address].self_address not in other.le_connections:
            asyncio.get_running_loop().call_soon(self._not_established, peer_address)

    def _not_established(self, peer_address: hci.Address) -> None:
        """The other side was not listening: the link layer finds out when nothing comes back."""
        if peer_address in self.le_connections:
            self.on_le_disconnected(self.le_connections[peer_address], 0x3E)

    def _fail_pending(self, status: int) -> None:
        self.pending_le_connection = None
        asyncio.get_running_loop().call_soon(self.send_hci_packet, hci.HCI_LE_Connection_Complete_Event(
            status=status, connection_handle=0, role=0, peer_address_type=0, peer_address=hci.Address.ANY,
            connection_interval=0, peripheral_latency=0, supervision_timeout=0, central_clock_accuracy=0))


class PatientHost(Host):
    """A host that is never cancelled in the middle of a command: bumble's takes the answer for that of the next one."""

    async def _send_command(self, command: Any, response_timeout: float | None = None) -> Any:
        asked = asyncio.ensure_future(super()._send_command(command, response_timeout))
        try:
            return await asyncio.shield(asked)
        except asyncio.CancelledError:
            await asyncio.wait([asked])
            raise


class Radio:
    """One adapter: a controller, and a host that drives it. number: 1..255, makes its address.

    mtu: the largest ATT MTU that it agrees to. acl_bytes: data in one packet over the air, 27 or 251.
    """

    def __init__(self, air: Air, number: int, mtu: int = 247, acl_bytes: int = 251) -> None:
        self.air = air
        self.mtu = mtu
        self.address = f"C0:00:00:00:00:{number:02X}"
        self.controller = Controller(self.address, link=air, public_address=f"00:00:00:00:00:{number:02X}")
        self.controller.le_features &= ~(hci.LeFeatureMask.LE_EXTENDED_ADVERTISING | hci.LeFeatureMask.LL_PRIVACY)
        self.controller.le_acl_data_packet_length = acl_bytes
        host = PatientHost(self.controller, AsyncPipeSink(self.controller))
        self.device = Device("virtual", hci.Address(self.address), host=host)
        self.device.gatt_server.max_mtu = mtu
        self._advertising = False

    async def power_on(self) -> None:
        """Ready to be used."""
        await self.device.power_on()

    async def advertise(self, data: bytes, interval_ms: int = ADVERT_MS) -> None:
        """Send this connectable legacy advert (at most 31 bytes) until told otherwise, connected or not."""
        if len(data) > 31:
            raise ValueError("a legacy advert has at most 31 bytes")
        device = self.device
        device.advertising_data = data
        device.advertising_interval_min = device.advertising_interval_max = interval_ms
        await device.stop_advertising()
        await device.start_advertising(auto_restart=False)
        if not self._advertising:
            self._advertising = True
            device.on("connection", self._again)

    async def hide(self) -> None:
        """No advert any more."""
        if self._advertising:
            self._advertising = False
            self.device.remove_listener("connection", self._again)
        await self.device.stop_advertising()

    def pull(self) -> None:
        """Unplugged: the others lose it, and it hears nothing."""
        for address in list(self.controller.le_connections):
            self.air.cut(self.controller, address)
        self.controller.le_legacy_advertiser.stop()
        self.air.remove_controller(self.controller)

    def plug(self) -> None:
        """Back."""
        self.air.add_controller(self.controller)

    def stack_bytes(self) -> int:
        """Bytes of ACL data that its host holds: what was handed to the stack and has not gone over the air."""
        queue = self.device.host.le_acl_packet_queue
        return sum(len(packet.data) for packet, _ in queue._packets) if queue is not None else 0

    def _again(self, connection: Any) -> None:
        """A controller stops advertising when it is connected to; it goes on where others may come as well."""
        if connection.role == hci.Role.PERIPHERAL and self._advertising:
            advertiser = self.controller.le_legacy_advertiser
            advertiser.start()

    async def connect(self, address: str, within_s: float) -> Any:
        """A connection as central. Raises core.BaseBumbleError, TimeoutError.

        Bumble's own `connect` takes any connection that comes meanwhile, one from outside as well, for its own.
        """
        device = self.device
        found = asyncio.get_running_loop().create_future()

        def up(connection: Any) -> None:
            if connection.role == hci.Role.CENTRAL and str(connection.peer_address).startswith(address):
                found.done() or found.set_result(connection)

        def failed(error: Exception) -> None:
            found.done() or found.set_exception(error)

        if device.is_le_connecting:
            raise core.InvalidStateError("connecting already")
        kind = hci.AddressType(int(address[:2], 16) >= 0xC0)  # ours are static ones, those of BlueZ's adapters public
        device.le_connecting = True
        device.connect_own_address_type = hci.OwnAddressType.RANDOM
        device.on("connection", up)
        device.on("connection_failure", failed)
        try:
            await device.send_async_command(hci.HCI_LE_Create_Connection_Command(
                le_scan_interval=96, le_scan_window=96, initiator_filter_policy=0, peer_address_type=kind,
                peer_address=hci.Address(address, kind), own_address_type=hci.OwnAddressType.RANDOM,
                connection_interval_min=12, connection_interval_max=24, max_latency=0, supervision_timeout=72,
                min_ce_length=0, max_ce_length=0))
            try:
                async with asyncio.timeout(within_s):
                    return await found
            except (TimeoutError, asyncio.CancelledError):
                await device.send_sync_command(hci.HCI_LE_Create_Connection_Cancel_Command())
                raise
        finally:
            device.le_connecting = False
            device.remove_listener("connection", up)
            device.remove_listener("connection_failure", failed)
            found.cancel()
