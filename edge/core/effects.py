"""The one outlet of the core: the effects that `Machine.drain` gives, in the order in which they must be carried out.

An effect is a tuple whose first item is one of these names. The shell carries them out and reports back through
`Machine.command`. A STORE is reported with STORED after its commit and only then do the effects follow that depend on
it (acknowledge, deliver, push), so "acknowledged" always means committed. See DESIGN, The core.
"""

STORE = "store"  # (STORE, message)                     commit this Message, report by command(STORED, ...)
DELIVER = "deliver"  # (DELIVER, message)               a committed message that is new here
POSTED = "posted"  # (POSTED, token, id)                our own message is committed: acknowledge it
REFUSED = "refused"  # (REFUSED, token, reason)         our own message will not be kept
RECEIPT = "receipt"  # (RECEIPT, id, by)                the destination's signed receipt for our message is committed
SEND = "send"  # (SEND, link, peer, lane, frame)        hand one frame to a link; peer None: all, report by PUSHED
PUSH = "push"  # (PUSH, link, peer, lane, keys)         read these messages, send what `pack` makes of them, then PUSHED
BUS = "bus"  # (BUS, link, peer, payload)               a capability frame for the bus
PEER = "peer"  # (PEER, link, peer, up, info)           a neighbour said hello (True) or went away (False)
DROP = "drop"  # (DROP, reason, link, peer)             something from a link was dropped and counted
CONFLICT = "conflict"  # (CONFLICT, message, other_id)  proof of a faulty key: same author and seq, two messages
EXPIRE = "expire"  # (EXPIRE, now_s)                    delete what has expired, report by command(GONE, ...)
PAUSE = "pause"  # (PAUSE, link, peer, for_ms)          a neighbour sends too much
CANCEL = "cancel"  # (CANCEL, link, key)                take back a message that a PUSH named, if it still waits
KEEP = "keep"  # (KEEP, key, value)                     persist a small integer under a text key

# commands: machine.command(now_ms, NAME, *arguments)
LOAD = "load"  # rows: iterable of (lane, hlc, id), any order; at boot, may be called several times
LOAD_LONG = "load_long"  # rows as for LOAD: those of more than limits.RADIO_MESSAGE_BYTES_MAX; before a broadcast link
BOOT = "boot"  # next_seq, floors {lane: hlc}, outbox [(id, dest, expires_s)], last_hlc, owed [(id, author)]
POST = "post"  # token, type, lane, ttl_s, dest or None, body
STORED = "stored"  # [(id, outcome, other_id or None)]; outcome one of the five below
GONE = "gone"  # lane, [(hlc, id)], floor_hlc (0: expired, no floor)
LINK_UP = "link_up"  # LinkInfo
LINK_DOWN = "link_down"  # link
PEER_UP = "peer_up"  # link, peer, key or None, member
PEER_DOWN = "peer_down"  # link, peer
PUSHED = "pushed"  # link, peer
STAND = "stand"  # [key of a message on lane 0], the gravest first: said again on radios until the next STAND
CLOCK = "clock"  # unix_ms, quality (hlc.QUALITY_*)
SITUATION = "situation"  # edge.core.machine.Situation: what beacons say, and which lanes are passed on

NEW = 0
DUPLICATE = 1
CONFLICTING = 2
FULL = 3
PROVED = 4  # a third message with one (author, seq): the two lowest ids already prove it, so this one is not kept
