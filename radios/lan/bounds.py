"""Every bound and pace of the LAN links, in one place; relations are checked on import.

`Pace` holds what a test needs to hurry; a node runs with the values as they stand here. Units are in the names.
"""

from __future__ import annotations

from edge.core import limits
from radios.session_driver import LinkPace

PORT = 7373
GROUP_PORT = 7374
GROUP_IPV4 = "239.192.87.80"
GROUP_IPV6 = "ff02::5750"

# --- discovery
NODES_MAX = 128  # nodes heard of
ADDRESSES_MAX = 4  # ways to reach one of them
INTERFACES_MAX = 32
DATAGRAMS_A_WAKE_UP = 64
VERIFY_BURST, VERIFY_PER_S = 256, 50  # announces whose signature is looked at
REPLY_BURST, REPLY_PER_S = 64, 16

# --- sessions
SESSIONS_MAX = 40  # with UDP_PEERS_MAX below limits.PEERS_MAX: whom a driver takes, the core must have room for
SESSIONS_A_HOST_MAX = SESSIONS_MAX // 2  # from one address; this machine itself is not bound by it
HALF_OPEN_MAX = 16
HALF_OPEN_A_HOST_MAX = 6
ACCEPT_BURST, ACCEPT_PER_S = 64, 16  # inbound handshakes
DIALS_MAX = 8  # outbound at one time
STATIC_PEERS_MAX = 32
WRITE_HIGH_BYTES, WRITE_LOW_BYTES = 65536, 16384  # asyncio's own buffer
WRITE_BYTES = 32768  # sealed at one time: what is sealed can't be overtaken any more
SOCKET_BYTES = 65536  # SO_SNDBUF and SO_RCVBUF (Linux doubles it): what an alert may have to wait for
READ_BYTES = 65536

# --- the datagram link
UDP_MTU_BYTES = 1200
UDP_PEERS_MAX = 20
UDP_BURST = 4
UDP_GAP_MS = 4  # drained follows a datagram by so much: a leaf checks a signature in milliseconds


class Pace(LinkPace):
    """How long things take, in milliseconds."""

    announce_ms = 30000
    expire_ms = 90000
    quick_ms = (0, 300, 1200)  # the first announces after a start or a change of interfaces
    refresh_ms_min = 1000  # between two looks at the interfaces
    yield_ms = 10000  # the node with the higher key waits so long for the other to connect
    connect_ms = 4000
    retry_ms_min = 1000
    retry_ms_max = 60000
    steady_ms = 30000  # a session that lasted so long was a success
    keepalive_s = 15  # silent for so long: TCP asks, every `probe_s`, `probes` times
    probe_s = 5
    probes = 4
    unacked_ms = 20000  # sent and not acknowledged for so long: the cable is out
    silent_ms = 90000  # datagram link: a neighbour unheard for so long is gone


if NODES_MAX < SESSIONS_MAX:
    raise ValueError("lan bounds: every session's node must fit the table")
if HALF_OPEN_A_HOST_MAX > HALF_OPEN_MAX or SESSIONS_MAX < 1:
    raise ValueError("lan bounds: more for one host than for all")
if Pace.expire_ms < 2 * Pace.announce_ms or Pace.yield_ms <= Pace.handshake_ms:
    raise ValueError("lan bounds: one lost announce must not expire a node, nor a slow handshake cross another")
if SESSIONS_MAX + UDP_PEERS_MAX >= limits.PEERS_MAX:
    raise ValueError("bounds: the neighbours of both links, and a courier, must fit limits.PEERS_MAX")
