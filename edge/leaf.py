"""A leaf: the shipping core in a small program with a datagram link and a bounded store in memory.

It runs under MicroPython and under CPython, gossips with one gateway (a node whose `lan.udp` is on) and with what else
says hello to it, checks every signature itself, and keeps the newest messages. It decides nothing about messages and
writes no more than its key and one number to the disk. docs/LEAF.md; the datagrams are in docs/PROTOCOL.md 8.3.

    micropython -m edge.leaf --gateway HOST:PORT [--port N] [--dir DIR] [--name NAME] [--community KEY] [--post TEXT]
"""

import binascii
import gc
import json
import os
import sys

from edge.compat import aio, crypto
from edge.core import community, effects, frame, hlc, limits, sealed
from edge.core import message as messages
from edge.core.link import LinkInfo
from edge.core.rng import Rng

LINK = "udp"
PORT = 7373
MTU_BYTES = 1200
PUSH_GAP_MS = 5  # what we send in one go is followed by so much silence
PEERS_MAX = 4
SILENT_MS = 90000
SEQ_BLOCK = 64  # sequence numbers set aside at once, so that the flash is seldom written
GARBAGE_BYTES_MAX = 32768
YEAR_2024_MS = 1704067200000
# the bounds of limits.py that cost memory, as a leaf has them
BOUNDS = (("REFUSED_IDS_MAX", 64), ("PENDING_MAX", 32), ("QUEUE_KEYS_MAX", 64), ("AUTHORS_MAX", 256),
          ("REASSEMBLIES_MAX", 2), ("REASSEMBLY_BYTES_MAX", 65536), ("OUTBOX_MAX", 32), ("WANT_KEYS_MAX", 256),
          ("CHUNK_KEYS_MAX", 64))


class LeafStore:
    """The newest messages in memory: at most `messages_max`, of `bytes_max` together.

    When it is full the oldest message of the lowest lane goes, but each lane keeps an eighth of the places.
    """

    def __init__(self, messages_max=200, bytes_max=65536):
        self.messages_max = messages_max
        self.bytes_max = bytes_max
        self.n_bytes = 0
        self._by_key = {}  # key -> (data, expires_s, seq)
        self._lanes = [[] for _ in range(limits.LANES)]  # keys, ascending

    def __len__(self):
        return len(self._by_key)

    def commit(self, batch):
        """Take messages in: [(id, outcome, other id or None)] as the machine wants it."""
        results = []
        for message in batch:
            if message.key in self._by_key:
                results.append((message.id, effects.DUPLICATE, None))
                continue
            other = self._same_number(message)
            self._by_key[message.key] = (message.data, message.expires_s, message.seq)
            self._insert(self._lanes[message.lane], message.key)
            self.n_bytes += len(message.data)
            results.append((message.id, effects.NEW if other is None else effects.CONFLICTING, other))
        return results

    def evict(self):
        """What must go for room: {lane: ([(hlc, id)], floor_hlc)}."""
        gone = {}
        while len(self._by_key) > self.messages_max or self.n_bytes > self.bytes_max:
            lane = self._lowest_lane()
            key = self._lanes[lane].pop(0)
            rows = gone[lane][0] if lane in gone else []
            rows.append(self._drop(key))
            gone[lane] = (rows, rows[-1][0] + 1)
        return gone

    def expire(self, now_s):
        """What has expired goes: {lane: [(hlc, id)]}."""
        gone = {}
        for lane in range(limits.LANES):
            keys = [key for key in self._lanes[lane] if self._by_key[key][1] <= now_s]
            for key in keys:
                self._lanes[lane].remove(key)
            if keys:
                gone[lane] = [self._drop(key) for key in keys]
        return gone

    def fetch(self, keys):
        """The whole messages with these keys; missing ones are left out."""
        return [self._by_key[key][0] for key in keys if key in self._by_key]

    def newest(self):
        """The messages (bytes), newest first."""
        for key in sorted(self._by_key, reverse=True):
            yield self._by_key[key][0]

    def _same_number(self, message):
        """The id of another message with this author and number, or None."""
        at = messages.AUTHOR_AT
        for key in sorted(self._by_key):
            data, _, seq = self._by_key[key]
            if seq == message.seq and data[at:at + 32] == message.author:
                return messages.parse(data).id
        return None

    def _lowest_lane(self):
        for lane in range(limits.LANES - 1, -1, -1):
            if len(self._lanes[lane]) > self.messages_max // 8:
                return lane
        return max([lane for lane in range(limits.LANES) if self._lanes[lane]])

    def _insert(self, keys, key):
        at = len(keys)
        while at and keys[at - 1] > key:
            at -= 1
        keys.insert(at, key)

    def _drop(self, key):
        self.n_bytes -= len(self._by_key.pop(key)[0])
        return int.from_bytes(key[:6], "big"), key[6:]


class Leaf:
    """The shell around the machine.

    seed: 32 bytes. gateway: an address of aio.udp_address, or None to wait for others. community_key: 32 bytes or None.
    tell(what, value) hears of "message": (a Message that is new here, its text or None), of "peer": a dict, and of
    "halt": what the stewards have halted, names of edge.core.halt. stewards: edge.core.stewards.Stewards, or None.
    next_seq: the first sequence number that this key has not used. reserve(next_seq) must put a number away safely
    before it comes back; None for a key that is thrown away.
    """

    def __init__(self, seed, name, gateway, community_key=None, tell=None, store=None, next_seq=1, reserve=None,
                 stewards=None):
        from edge.core.machine import Machine  # not before `prepare`

        self.machine = Machine(seed, name, Rng(os.urandom(16)))
        self.store = LeafStore() if store is None else store
        self._gateway = gateway
        self._tell = tell
        self._seed = seed
        self._mac = community.Mac(community_key, community.DATAGRAM)
        self._member = community_key is not None
        self._reserve = reserve
        self._reserved_seq = next_seq
        self._halt = None
        if stewards is not None:
            from edge.core.halt import Halt  # 12 KB that a leaf without stewards does without

            self._halt = Halt(stewards)
        self._udp = None
        self._heard = {}  # address -> when it was heard last
        self._pushed = []  # (due_ms, address): pushes whose end the machine is still to hear of
        self._wake = aio.Event()
        now_ms = aio.ticks_ms()
        if aio.unix_ms() > YEAR_2024_MS:  # else there is no clock here
            self.machine.command(now_ms, effects.CLOCK, aio.unix_ms(), hlc.QUALITY_RTC)
        self.machine.command(now_ms, effects.BOOT, next_seq, {}, [], 0, [])
        self.machine.command(now_ms, effects.LINK_UP, LinkInfo(LINK, mtu_bytes=MTU_BYTES, ordered=False, burst=4))

    def open(self, host="0.0.0.0", port=PORT):
        """Take the port. Raises OSError where it is taken."""
        self._udp = aio.Udp(host, port)

    async def run(self):
        """Gossip, once open, until cancelled."""
        receiver = aio.create_task(self._receive())
        try:
            while True:
                now_ms = aio.ticks_ms()
                self._keep_gateway(now_ms)
                self._after_pushes(now_ms)
                self.machine.tick(now_ms)
                self.perform()
                self._wake.clear()
                try:
                    await aio.wait_for_ms(self._wake.wait(), self._rest_ms(aio.ticks_ms()))
                except aio.TimeoutError:
                    pass
        finally:
            receiver.cancel()
            try:
                await receiver
            except aio.CancelledError:
                pass
            self._udp.close()

    def post(self, text, lane=limits.LANE_COMMUNITY, type=messages.NOTICE, ttl_s=limits.TTL_S_DEFAULT):
        """Author one message. Raises RuntimeError where there is no libsodium to sign with."""
        if not crypto.CAN_SIGN:
            raise RuntimeError("a leaf without libsodium can't sign: post at the gateway")
        self.machine.command(aio.ticks_ms(), effects.POST, None, type, lane, ttl_s, None, {1: text})
        self.perform()

    def text_of(self, message):
        """What a message says to us, or None: its text, or that of a direct message sealed to our key."""
        body = message.body()
        try:
            if message.type == messages.DIRECT and message.dest == self.machine.key and crypto.CAN_SIGN:
                return sealed.unseal(self._seed, message.author, body.get(3))
            text = body.get(1)
        except ValueError:
            return None
        return text if isinstance(text, str) else None

    def perform(self):
        """Carry out what the machine wants done."""
        while True:
            pending = self.machine.drain()
            if not pending:
                return
            batch = []
            for effect in pending:
                name = effect[0]
                if name == effects.STORE:
                    batch.append(effect[1])
                elif name == effects.SEND:
                    self._send(effect[2], effect[4])
                elif name == effects.PUSH:
                    self._push(effect[2], effect[4])
                elif name == effects.EXPIRE:
                    self._gone(self.store.expire(effect[1]))
                    self._obey(None)
                elif name == effects.DELIVER and effect[1].type == messages.HALT:
                    self._obey(effect[1])
                elif self._tell is not None and name == effects.DELIVER:
                    self._tell("message", (effect[1], self.text_of(effect[1])))
                elif self._tell is not None and name == effects.PEER:
                    self._tell("peer", {"node": effect[4]["node"], "name": effect[4]["name"], "up": effect[3]})
            if batch:
                self._commit(batch)

    def _obey(self, message):
        """An order of the stewards came, or time went on: pass on what is not urgent, or don't. PROTOCOL 17.3."""
        if self._halt is None:
            return
        from edge.core import halt
        from edge.core.machine import UNKNOWN_SITUATION, Situation

        if message is not None:
            try:
                self._halt.offer(message.body().get(1))
            except ValueError as error:
                self.machine.count("drop." + str(error))
        now_ms = aio.ticks_ms()
        scopes = self._halt.scopes(self.machine.sure_s(now_ms))
        known = UNKNOWN_SITUATION
        lanes = known.lanes
        if scopes & halt.RELAY:
            lanes = 1 << limits.LANE_ALERT | 1 << limits.LANE_DIRECT
        if lanes != self.machine.situation.lanes:
            self.machine.command(now_ms, effects.SITUATION, Situation(known.condition, known.reach, known.battery,
                                                                      lanes, known.beacon_ms_max))
            if self._tell is not None:
                self._tell("halt", halt.words(scopes))

    # --- the store

    def _commit(self, batch):
        for message in batch:
            if message.author == self.machine.key and message.seq >= self._reserved_seq:
                self._reserved_seq = message.seq + SEQ_BLOCK
                if self._reserve is not None:
                    self._reserve(self._reserved_seq)  # before anybody hears of the message
        results = self.store.commit(batch)
        if not crypto.CAN_SIGN:
            # a direct message to us can't be receipted: keep it for others, as if we had had it
            ours = [message.id for message in batch if message.dest == self.machine.key]
            results = [(r[0], effects.DUPLICATE, None) if r[0] in ours else r for r in results]
        self.machine.command(aio.ticks_ms(), effects.STORED, results)
        gone = self.store.evict()
        for lane in sorted(gone):
            self.machine.command(aio.ticks_ms(), effects.GONE, lane, gone[lane][0], gone[lane][1])

    def _gone(self, gone):
        for lane in sorted(gone):
            self.machine.command(aio.ticks_ms(), effects.GONE, lane, gone[lane], 0)

    # --- the link

    async def _receive(self):
        while True:
            data, address = await self._udp.recv()
            self._on_datagram(data, address)

    def _on_datagram(self, data, address):
        now_ms = aio.ticks_ms()
        data = self._mac.take(data)
        if data is None:
            self.machine.count("drop.mac")
            return
        if address not in self._heard:
            if not data or data[0] != frame.HELLO or len(self._heard) >= PEERS_MAX:
                self.machine.count("drop.stranger")
                return
            self.machine.command(now_ms, effects.PEER_UP, LINK, address, None, self._member)
        self._heard[address] = now_ms
        self.machine.receive(now_ms, LINK, address, data)
        self.perform()
        self._wake.set()

    def _keep_gateway(self, now_ms):
        for address in sorted(self._heard):
            if now_ms - self._heard[address] > SILENT_MS:
                del self._heard[address]
                self.machine.command(now_ms, effects.PEER_DOWN, LINK, address)
        if self._gateway is not None and self._gateway not in self._heard:
            self._heard[self._gateway] = now_ms
            self.machine.command(now_ms, effects.PEER_UP, LINK, self._gateway, None, self._member)

    def _send(self, address, data):
        if self._udp is not None and not self._udp.send(self._mac.put(data), address):
            self.machine.count("tx.refused")

    def _push(self, address, keys):
        data = self.store.fetch(keys)
        if data:
            for one in self.machine.pack(LINK, data):
                self._send(address, one)
        self._pushed.append((aio.ticks_ms() + PUSH_GAP_MS, address))
        self._wake.set()

    def _after_pushes(self, now_ms):
        due = [push for push in self._pushed if push[0] <= now_ms]
        self._pushed = [push for push in self._pushed if push[0] > now_ms]
        for _, address in due:
            self.machine.command(now_ms, effects.PUSHED, LINK, address)

    def _rest_ms(self, now_ms):
        due_ms = [push[0] for push in self._pushed]
        due_ms.append(now_ms + SILENT_MS // 9)
        if self.machine.deadline() is not None:
            due_ms.append(self.machine.deadline())
        return max(1, min(due_ms) - now_ms)


# --- the program


def prepare():
    """Make the bounds small, once and before the first Leaf: some are read when the core's modules are imported."""
    for name, value in BOUNDS:
        setattr(limits, name, value)
    if hasattr(gc, "threshold"):
        gc.threshold(GARBAGE_BYTES_MAX)  # mp: MicroPython's own; else it fills the heap before it looks for garbage


def _identity(folder):
    """(seed, next_seq, reserve) of the key in `folder`, made there at the first start; without one, a key for once."""
    if folder is None:
        return os.urandom(32), 1, None
    key_path = folder + "/leaf.key"
    seq_path = folder + "/leaf.seq"

    def reserve(next_seq):
        with open(seq_path + ".new", "w") as file:
            file.write("%d\n" % next_seq)
        os.rename(seq_path + ".new", seq_path)

    try:
        with open(key_path) as file:
            seed = bytes.fromhex(file.read().strip())
        with open(seq_path) as file:
            return seed, int(file.read()), reserve
    except OSError:
        seed = os.urandom(32)
        if hasattr(os, "umask"):
            os.umask(0o077)  # mp: where there are users, the key is its owner's alone
        reserve(1)
        with open(key_path, "w") as file:
            file.write(seed.hex() + "\n")
        return seed, 1, reserve


def _options(arguments):
    options = {"gateway": None, "port": str(PORT), "dir": None, "name": "leaf", "community": None, "post": None,
               "stewards": None, "needed": "0", "community-name": ""}
    names = arguments[0::2]  # mp: lists take a step
    for i in range(len(names)):
        name = names[i][2:]
        if names[i][:2] != "--" or name not in options or 2 * i + 1 >= len(arguments):
            raise ValueError("%s: known are --%s, each with a value" % (names[i], ", --".join(sorted(options))))
        options[name] = arguments[2 * i + 1]
    return options


def _print(event):
    sys.stdout.write(json.dumps(event) + "\n")
    if hasattr(sys.stdout, "flush"):
        sys.stdout.flush()


def _tell(what, value):
    if what == "peer":
        _print({"event": "peer", "node": value["node"].hex(), "name": value["name"], "up": value["up"]})
        return
    if what == "halt":
        _print({"event": "halt", "scopes": value})
        return
    message, text = value
    _print({"event": "message", "id": message.id.hex(), "author": message.author.hex(), "lane": message.lane,
            "type": message.type, "seq": message.seq, "text": text})


def _gateway(text):
    host, _, port = text.rpartition(":")
    try:
        if len([part for part in host.split(".") if 0 <= int(part) <= 255]) == 4:
            return aio.udp_address(host, int(port))
    except ValueError:
        pass
    raise ValueError("--gateway: %s is not HOST:PORT, with a numeric address" % text)


def _community(text):
    """The key as 64 hex digits, or as the base64 that `waypost keys --new-community-key` prints."""
    try:
        key = bytes.fromhex(text) if len(text) == 64 else binascii.a2b_base64(text)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise ValueError("--community: not 32 bytes, as 64 hex digits or 44 characters of base64")
    return key


def _stewards(options):
    if not options["stewards"]:
        return None
    from edge.core.stewards import Stewards

    try:
        keys = [bytes.fromhex(one) for one in options["stewards"].split(",")]
    except ValueError:
        raise ValueError("--stewards: not keys of 64 hex digits, with commas between")
    return Stewards(options["community-name"], keys, int(options["needed"]))


def main(arguments):
    """Run a leaf as the options say; one line of JSON for every event. A wrong option raises ValueError."""
    options = _options(arguments)
    prepare()
    gateway = _gateway(options["gateway"]) if options["gateway"] else None
    key = _community(options["community"]) if options["community"] else None
    seed, next_seq, reserve = _identity(options["dir"])
    leaf = Leaf(seed, options["name"], gateway, key, _tell, None, next_seq, reserve, _stewards(options))
    leaf.open("0.0.0.0", int(options["port"]))
    _print({"event": "ready", "node": leaf.machine.key.hex(), "crypto": crypto.BACKEND})
    if options["post"]:
        leaf.post(options["post"])
    aio.run(leaf.run())


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except ValueError as error:
        sys.stderr.write("leaf: %s\n" % error)
        sys.exit(2)
