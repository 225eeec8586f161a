"""What images/test/suite_arm64.sh leaves out, each with its reason: qemu-user is neither a kernel nor quick."""

from __future__ import annotations

import os

import pytest


def not_emulated(reason: str) -> pytest.MarkDecorator:
    """Marks a test that can't hold under qemu-user, for this reason."""
    return pytest.mark.skipif("WAYPOST_EMULATED" in os.environ, reason=f"qemu-user: {reason}")


meets_by_multicast = not_emulated("has no IP_MULTICAST_IF, so nodes don't find each other")
locks_in = not_emulated("has neither Landlock nor seccomp filters")
weighs_memory = not_emulated("counts its own memory with the process's")
one_size = not_emulated("is too slow for a larger model beside the smaller one")
