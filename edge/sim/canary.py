"""Bugs to plant: a checker that does not find these is worth nothing.

Each is a function that is given every host after its machine was made and before it loads anything, and breaks one
promise in it. None is ever active outside a simulation that asks for it by name.
"""

from edge.core import effects


def acknowledge_before_commit(host):
    """The writer reports a commit when it begins."""

    def write():
        while host._waiting:
            batch = host._waiting.pop(0)
            host.command(effects.STORED, [(message.id, effects.NEW, None) for message in batch])
            host.world.at(host.world.now_ms + 30, commit, host.boots, batch)
        host._drain()

    def commit(boots, batch):
        if host.up and boots == host.boots:
            for message in batch:
                host.store.commit(message)

    host._write = write


def forget_dedupe(host):
    """Neither the core nor the store knows a message again."""
    store = host.store
    commit = type(store).commit

    def commit_as_new(message):
        id, outcome, other = commit(store, message)
        return (id, effects.NEW if outcome == effects.DUPLICATE else outcome, other)

    store.commit = commit_as_new
    host.machine.gossip.holds = lambda lane, key: False


def drop_one_key(host):
    """Reconciliation never gives one key in four."""
    gossip = host.machine.gossip
    give = gossip._give

    def give_less(neighbour, lane, keys):
        give(neighbour, lane, [key for key in keys if key[15] & 3])

    gossip._give = give_less


def reuse_numbers(host):
    """Sequence numbers start anew after a reboot."""
    store = host.store
    boot_state = type(store).boot_state

    def from_one(now_s):
        _, floors, outbox, last_hlc, owed = boot_state(store, now_s)
        return (1, floors, outbox, last_hlc, owed)

    store.boot_state = from_one


def owe_nothing(host):
    """No receipts."""
    host.machine._owe_receipt = lambda now_ms, id, author: None


def clock_back(host):
    """The clock shows the host's time as it comes."""
    clock = host.machine.clock

    def now(now_ms):
        return clock._wall(now_ms)

    clock.now = now


def silent_drop(host):
    """Drops are counted without a reason."""
    machine = host.machine
    machine.drop = lambda reason, link, peer: machine.count("drop.frame")


def trust_anyone(host):
    """Signatures are not checked."""
    host.machine._verify = lambda public, data, signature: True


CANARIES = {
    "acknowledge-before-commit": acknowledge_before_commit,
    "clock-back": clock_back,
    "drop-one-key": drop_one_key,
    "forget-dedupe": forget_dedupe,
    "owe-nothing": owe_nothing,
    "reuse-numbers": reuse_numbers,
    "silent-drop": silent_drop,
    "trust-anyone": trust_anyone,
}
