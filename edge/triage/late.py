"""Triage as a running node has it: nothing is loaded until the first text comes."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from edge.triage.judge import Judge


class LateJudge:
    """The judge as a node uses it: opened when the first text comes, and never in the way.

    A broken file is told to log(level, text) once; without a judge no text gets a label.
    """

    def __init__(self, log: Callable[[str, str], None], *, use_model: bool = True) -> None:
        self._log = log
        self._use_model = use_model
        self._judge: Judge | None = None

    def __call__(self, text: str) -> dict[str, Any] | None:
        """{"labels": [...], "why": {label: [[source, words], ...]}}, None where there is nothing to say."""
        if self._judge is None:
            self._judge = self._open()
        verdict = self._judge.judge(text)
        if not verdict.labels:
            return None
        why = {label: [list(one) for one in reasons] for label, reasons in verdict.why.items()}
        return {"labels": list(verdict.labels), "why": why}

    def _open(self) -> Judge:
        from edge.triage.judge import Judge, open_judge

        for use_model in (self._use_model, False):
            try:
                return open_judge(use_model=use_model)
            except (OSError, ValueError) as error:
                self._log("error", f"triage: {error}; reinstall waypost")
        return Judge(None, None)
