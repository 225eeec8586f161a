"""Every bound of the portable core, in one place.

A bound that stands anywhere else is a bug. Relations between bounds are checked when this module is imported, so a
change that breaks one fails at once on every interpreter. Units are in the names. Nothing here depends on the host.
docs/PROTOCOL.md section 9 lists the bounds that a peer can notice.
"""

# --- messages (PROTOCOL 3)
MESSAGE_BYTES_MAX = 16384  # a whole COSE_Sign1, tag included
BODY_BYTES_MAX = 15872  # the encoded body alone
TEXT_BYTES_MAX = 4096  # a notice or a direct text, UTF-8
SEQ_MAX = 2**32 - 1
TTL_S_MAX = 366 * 86400
TTL_S_DEFAULT = 7 * 86400
FUTURE_S_MAX = 600  # how far ahead of a known clock a message may be
PEER_TIME_MS_MIN = 3600000  # between two times that neighbours move a clock which goes by them
FUTURE_UNSURE_S_MAX = 400 * 86400  # the same for a clock that only knows when it was last: a box may have been off
LEAP_S_MAX = 30 * 86400  # a clock without NTP or GPS that leaps further since it was last sure expires nothing
SEQ_JUMP_MAX = 100000  # a larger jump is accepted, counted and shown
NESTING_MAX = 8  # CBOR depth; MicroPython's C stack is small

# --- lanes (DESIGN, The message)
LANES = 4
LANE_ALERT = 0
LANE_DIRECT = 1
LANE_COMMUNITY = 2
LANE_BULK = 3

# --- frames and fragments (PROTOCOL 5)
FRAME_BYTES_MAX = 32768  # one link frame after reassembly
FRAGMENT_HEAD_BYTES = 6
FRAGMENTS_MAX = 255
MTU_BYTES_MIN = 140  # of a link: the largest frame must fit FRAGMENTS_MAX fragments
REASSEMBLIES_MAX = 16  # frames being put together, all peers of one link
REASSEMBLY_BYTES_MAX = 131072
REASSEMBLY_MS_MAX = 15000
BATCH_MESSAGES_MAX = 64  # messages in one MESSAGES frame
BATCH_BYTES_MAX = 16384 + 256

# --- memory of the core
PENDING_MAX = 1024  # verified messages that the store has not committed yet
PENDING_PAUSE = 256  # from here on sessions are paused, so that nothing has to be dropped
REFUSED_IDS_MAX = 1024
PEERS_MAX = 72  # neighbours, all links
QUEUE_KEYS_MAX = 1024  # keys waiting for one neighbour; past that it is reconciled
PUSHES_IN_FLIGHT_MAX = 2  # of the lowest lane; each lane above may have one more
PAUSE_MS = 50
OUTBOX_MAX = 1024
AUTHORS_MAX = 4096  # authors whose highest sequence number is remembered
CHUNK_KEYS_MAX = 512  # keys in one chunk of the index

# --- reconciliation (PROTOCOL 6)
RANGE_LIST_MAX = 32  # a range of at most this many keys is sent as a list
RANGE_SPLIT = 16
RANGES_MAX = 512  # ranges in one frame
WANT_KEYS_MAX = 1024
SKETCH_CAPACITY_MAX = 64

# --- radio (PROTOCOL 15)
ONAIR_CANDIDATES_MAX = 4  # keys with one short reference that are tried
ONAIR_KEYS_MAX = 1024  # keys that short references are resolved by
INFLATED_BYTES_MAX = 4352  # a text body, inflated; with the dictionary it must fit deflate's window of 8,192
ASK_SHORTS_MAX = 48  # messages asked for in one frame
OBJECTS_MAX = 8  # objects being put together, all senders
OBJECTS_BYTES_MAX = 131072
OBJECT_PIECES_MAX = 128  # of data; as many of parity may follow
OBJECT_MS_MAX = 600000  # without a new piece
OBJECT_REPORTS_MAX = 8  # that nothing new came after
OBJECT_WORK_MAX = 2048  # pieces gone through in looking for a forged one
RADIO_MESSAGE_BYTES_MAX = 2048  # longer messages are left to other links, and out of the sets of this one
RADIO_WAITS_MAX = 128  # messages waiting for one air; things in line, of each lane
RADIO_COPIES = 2  # heard from others, a message is not passed on;
RADIO_COPIES_ALERT = 4  # an alert, the first time: the last one of a town has it after 10 s, and not 30
RADIO_REPEATS_MAX = 3  # of an alert
RADIO_REPEAT_MS = 20000  # before the first of them; twice as long before each further one
RADIO_FLOOD_S_MAX = 600  # what is older is not passed on by itself: it is found missing
RADIO_CHECKS_BURST = 64  # signatures checked for one air
RADIO_CHECKS_PER_S = 8
RADIO_CHECKS_ALERT = 16  # of these for alerts alone
RADIO_WORK_BURST = 1024  # short ids looked for and sketches decoded, in units of RADIO_WORK_KEYS keys
RADIO_WORK_PER_S = 50
RADIO_WORK_KEYS = 256
RADIO_WINDOW_KEYS_MAX = 512  # of ours, in the window of another's sketch
RADIO_GROW_KEYS = 128  # put into a sketch at a time
RADIO_GROW_MS = 20
RADIO_NEIGHBOURS_MAX = 64
RADIO_SENDERS_MAX = 4  # objects on their way out
RADIO_STALL_MS = 600000  # a driver that is silent for so long has lost what it was given
RADIO_KNOWN_MAX = 512  # messages, authors that something is remembered of
SKETCH_CAPACITY_USUAL = 18  # 16 differences, and two sums to spare
BEACON_MS_MIN = 30000  # Trickle (RFC 6206): Imin, Imax, k
BEACON_MS_MAX = 900000
BEACON_COPIES = 2

# --- what stewards sign (PROTOCOL 17)
STEWARDS_MAX = 16
COMMUNITY_NAME_BYTES_MAX = 32
CERT_ROLES_MAX = 8
CERT_ROLE_CHARS_MAX = 32
CERT_CHAIN_MAX = 3  # certificates from a key up to the stewards
CERTS_MAX = 256
CERTS_WAITING_MAX = 32  # whose giver is not known yet
HALT_REASON_BYTES_MAX = 120

# --- alerts (PROTOCOL 18)
ALERT_AIR_BYTES_MAX = 231  # an alert on a radio, its author's whole key included
ALERT_BODY_AIR_BYTES_MAX = 119  # of these, for its body (15.3)
ALERT_HEADLINE_BYTES_MAX = 160
ALERT_TEXT_BYTES_MAX = 2048  # an instruction
ALERT_NAME_BYTES_MAX = 64  # the issuer, an event, a language, the name of a place
ALERT_AREAS_MAX = 32
ALERT_REFS_MAX = 8
ALERTS_STANDING_MAX = 32  # said again and again on a radio until they end
ALERT_AGAIN_MS_MIN = 160000  # after the repeats of RADIO_REPEAT_MS: Trickle, to
ALERT_AGAIN_MS_MAX = 3600000

# --- check-ins (PROTOCOL 19)
CHECKIN_NAME_BYTES_MAX = 64  # of a person, of a place
CHECKIN_NOTE_BYTES_MAX = 200

# --- pace
RECEIVE_BURST = 4096  # messages from one neighbour before its bucket is empty
RECEIVE_PER_S = 500
FRAMES_BURST = 512  # frames other than MESSAGES, and apart from them those of the bus
FRAMES_PER_S = 50
BUS_FRAMES_PER_S = 400  # the bus has windows and shares of its own; this bounds the work of refusing
RANGES_A_TOKEN = 32  # so many ranges to answer cost as much as one frame more
SHORT_IDS_A_TOKEN = 256  # so many short ids to work out, the same
DIGEST_MS = 20000
RECONCILE_MS_MIN = 2000  # between two rounds that we start with one neighbour
RETRY_DOUBLINGS_MAX = 5  # of the wait before a message is pushed once more to who does not keep it; 7 at most
EXPIRE_MS = 30000

if not (BODY_BYTES_MAX + 256 <= MESSAGE_BYTES_MAX <= BATCH_BYTES_MAX <= FRAME_BYTES_MAX):
    raise ValueError("limits: body < message <= batch <= frame must hold")
if not (TEXT_BYTES_MAX < BODY_BYTES_MAX):
    raise ValueError("limits: a text must fit a body")
if (MTU_BYTES_MIN - FRAGMENT_HEAD_BYTES) * FRAGMENTS_MAX < FRAME_BYTES_MAX:
    raise ValueError("limits: a whole frame must fit the fragments of the smallest link")
if REASSEMBLY_BYTES_MAX < 2 * FRAME_BYTES_MAX:
    raise ValueError("limits: two frames must fit the reassembly memory")
if PENDING_PAUSE + 8 * BATCH_MESSAGES_MAX > PENDING_MAX:
    raise ValueError("limits: what is on the way when a session is paused must still fit")
if RANGE_SPLIT * RANGE_LIST_MAX > RANGES_MAX * RANGE_LIST_MAX or RANGE_LIST_MAX > CHUNK_KEYS_MAX:
    raise ValueError("limits: one split must fit one frame")
if WANT_KEYS_MAX * 16 + 64 > FRAME_BYTES_MAX:
    raise ValueError("limits: a WANT frame must fit a frame")
if not (TEXT_BYTES_MAX < INFLATED_BYTES_MAX < 8192):
    raise ValueError("limits: a text must fit deflate's window")
if (MTU_BYTES_MIN - 11) * OBJECT_PIECES_MAX < MESSAGE_BYTES_MAX + 2 or OBJECTS_BYTES_MAX < 2 * MESSAGE_BYTES_MAX:
    raise ValueError("limits: a whole message must fit the pieces of an object on the smallest link")
if not (RADIO_MESSAGE_BYTES_MAX <= MESSAGE_BYTES_MAX and RADIO_CHECKS_ALERT < RADIO_CHECKS_BURST):
    raise ValueError("limits: a radio carries no more than a message, and not every check is for alerts")
if ALERT_AIR_BYTES_MAX - (2 + 32 + 4 + 6 + 4 + 64) < ALERT_BODY_AIR_BYTES_MAX:
    raise ValueError("limits: an alert's body must fit its frame beside whole key, seq, hlc, ttl and signature")
if RECEIVE_BURST < 2 * BATCH_MESSAGES_MAX:
    raise ValueError("limits: a batch must never empty the bucket by itself")
