"""Run in another Python environment: what a TFLite model of texts gives, with whatever runtime is there.

    other_runtime.py MODEL   texts as a JSON list on standard input; {"runtime", "scores"} on standard output
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any


def main(path: str) -> None:
    from edge.models import litert

    numpy: Any = __import__("numpy")
    fd = os.open(path, os.O_RDONLY)
    engine = litert.Engine(fd, {"threads": 1})
    scores = []
    for text in json.load(sys.stdin):
        (tensor,) = engine._text(numpy, text)
        scores.append([float(one) for one in engine._scores(numpy, tensor)])
    print(json.dumps({"runtime": litert.interpreter().__module__, "scores": scores}))


if __name__ == "__main__":
    main(sys.argv[1])
