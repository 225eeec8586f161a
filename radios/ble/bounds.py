"""Every bound and pace of the BLE link, in one place; relations are checked on import.

`Pace` holds what a test needs to hurry; a node runs with the values as they stand here. Units are in the names.
"""

from __future__ import annotations

from edge.core import limits
from radios.ble import gatt
from radios.lan import bounds as lan
from radios.session_driver import LinkPace

ROLE_MAX = 4  # connections of one direction, whatever the settings say
SESSIONS_MAX = 2 * ROLE_MAX
WAYS_IN_SPARE = 2  # connections beyond those that may become sessions: one comes while another is being refused
QUEUE_BYTES_MAX = 49152  # frames waiting for one neighbour
QUEUE_LANE_BYTES = 2 * gatt.FRAME_BYTES_MAX  # of these, what each lane leaves free for the lanes above it
BURST = 8  # messages pushed at one time: an alert should not wait behind many
BITS_PER_S = 200000  # of payload, between two boards in one room; known, not measured here
COST = 3

NEAR_MAX = 64  # nodes heard of
STRANGER_DIALS, STRANGER_DIALS_PER_MINUTE = 6, 6  # connections to nodes that were never met
ACCEPT_BURST, ACCEPT_PER_S = 12, 1  # connections taken in


class Pace(LinkPace):
    """How long things take, in milliseconds."""

    handshake_ms = 15000
    goodbye_ms = 1500
    connect_ms = 8000
    scan_ms = 4000
    rest_ms = 16000  # between two scans
    saving_factor = 6  # times as long where power is short
    advert_ms = 1000  # between two adverts
    beacon_ms = 5000  # between two looks at whether the beacon still says what is so
    stale_ms = 60000  # unheard for so long: not near any more
    yield_ms = 45000  # the node with the higher number waits so long for the other to connect
    retry_ms_min = 10000
    retry_ms_max = 300000
    lied_ms = 900000
    meet_ms = 900000  # who seems to hold what we hold is asked again after so long
    idle_ms = 30000  # a session without messages for so long gives way to somebody with news
    gap_ms = 2000
    silent_ms = 120000
    reopen_ms_min = 1000  # of the adapter that was lost
    reopen_ms_max = 30000


if SESSIONS_MAX + lan.SESSIONS_MAX + lan.UDP_PEERS_MAX >= limits.PEERS_MAX:
    raise ValueError("ble bounds: the neighbours of all links, and a courier, must fit limits.PEERS_MAX")
if QUEUE_BYTES_MAX < (limits.LANES + 1) * QUEUE_LANE_BYTES:
    raise ValueError("ble bounds: every lane must be able to queue a frame")
if Pace.yield_ms <= 2 * (Pace.scan_ms + Pace.rest_ms) or Pace.stale_ms <= Pace.yield_ms:
    raise ValueError("ble bounds: the node with the lower number needs two scans to be the first")
