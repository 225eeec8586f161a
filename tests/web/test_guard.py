"""Who may post: same origin only, a burst and then a pace, per client and over all, in bounded memory."""

from __future__ import annotations

import pytest

from edge.web import guard


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(("headers", "ok"), [
    ({}, True),  # a command-line client
    ({"Origin": "http://mill.local:8080", "Host": "mill.local:8080"}, True),
    ({"Origin": "http://Mill.local:8080", "Host": "mill.LOCAL:8080"}, True),
    ({"Origin": "http://[fe80::1]:8080", "Host": "[fe80::1]:8080", "Sec-Fetch-Site": "same-origin"}, True),
    ({"Origin": "http://mill.local", "Host": "mill.local:8080"}, False),
    ({"Origin": "http://evil.example", "Host": "mill.local:8080"}, False),
    ({"Origin": "http://evil.example:8080", "Host": "evil.example:8080"}, False),  # a public name that leads here
    ({"Origin": "http://10.42.0.1:8080", "Host": "10.42.0.1:8080"}, True),
    ({"Origin": "http://mill:8080", "Host": "mill:8080"}, True),
    ({"Origin": "http://mill.home.arpa", "Host": "mill.home.arpa"}, True),
    ({"Origin": "null", "Host": "mill.local:8080"}, False),
    ({"Origin": "http://mill.local:8080"}, False),
    ({"Host": "mill.local:8080", "Sec-Fetch-Site": "cross-site"}, False),
    ({"Host": "mill.local:8080", "Sec-Fetch-Site": "same-site"}, False),
    ({"Host": "mill.local:8080", "Sec-Fetch-Site": "none"}, False),
    ({"Origin": "ftp://mill.local:8080", "Host": "mill.local:8080"}, False),
])
def test_same_origin(headers: dict[str, str], ok: bool) -> None:
    assert guard.same_origin(headers) is ok


@pytest.mark.parametrize(("address", "client"), [
    ("192.168.4.7", "192.168.4.7"),
    ("::ffff:192.168.4.7", "192.168.4.7"),
    ("2001:db8:1:2:aaaa:bbbb:cccc:dddd", "2001:db8:1:2"),
    ("2001:db8:1:2::7", "2001:db8:1:2"),
    ("fe80::1234:5678%wlan0", "fe80:0:0:0"),
    ("::1", "0:0:0:0"),
    ("", ""),
])
def test_client(address: str, client: str) -> None:
    assert guard.client_of(address) == client


def test_a_burst_and_then_a_pace() -> None:
    clock = Clock()
    buckets = guard.Buckets(clock)
    assert [buckets.take("10.0.0.1") for _ in range(guard.POST_BURST)] == [0] * guard.POST_BURST
    wait_ms = buckets.take("10.0.0.1")
    assert wait_ms == guard.POST_EVERY_MS
    assert buckets.take("10.0.0.2") == 0, "one client must not use up another's share"
    clock.now += wait_ms / 1000
    assert buckets.take("10.0.0.1") == 0
    assert buckets.take("10.0.0.1") > 0
    clock.now += 86400
    assert [buckets.take("10.0.0.1") for _ in range(guard.POST_BURST + 1)].count(0) == guard.POST_BURST


def test_all_clients_together_have_a_pace_too() -> None:
    buckets = guard.Buckets(Clock())
    took = [buckets.take(f"10.0.1.{n}") for n in range(guard.ALL_BURST + 5)]
    assert took.count(0) == guard.ALL_BURST


def test_memory_is_bounded_and_the_busiest_are_remembered() -> None:
    clock = Clock()
    buckets = guard.Buckets(clock)
    for _ in range(guard.POST_BURST):
        buckets.take("10.9.9.9")
    for n in range(3 * guard.CLIENTS_MAX):
        clock.now += 1.1 * guard.ALL_EVERY_MS / 1000 / 50
        buckets.take(f"10.1.{n // 250}.{n % 250}")
    assert len(buckets) <= guard.CLIENTS_MAX
    assert buckets.take("10.9.9.9") > 0


def test_this_machine_is_known_by_its_loopback_addresses() -> None:
    assert guard.is_here("127.0.0.1") and guard.is_here("::1") and guard.is_here("::ffff:127.0.0.1")
    assert not guard.is_here("10.42.0.7") and not guard.is_here("fe80::1")
