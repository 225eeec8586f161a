"""What an engine of the worker may raise. An engine is `prepare()` and a class `Engine(fd, start)` with `stop` (a
buffer whose first byte ends the running job), `facts()` and `run(job, say, read)`; llama.py and litert.py are the two.
"""

from __future__ import annotations


class Refused(Exception):
    """A job can't be done; the code is one of edge/errors.py, the rest is for whoever asked."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint


class Cancelled(Exception):
    """The job was stopped."""
