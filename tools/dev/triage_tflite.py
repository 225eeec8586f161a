"""Writes the triage model as a TFLite classifier of texts, with its manifest: the reference for edge/models/litert.py.

    python -m tools.dev.triage_tflite OUT.tflite

The features' weights as they are (int8), times what is there of them, times each label's scale, plus its bias, as a
probability.
"""

from __future__ import annotations

import os
import struct
import sys

from edge.models import manifest
from edge.triage.model import Model
from tools.dev import tflite_graph

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MODEL = os.path.join(ROOT, "edge/triage/model.bin")


def write(path: str) -> None:
    """Write the classifier to `path`."""
    import numpy as np

    with open(MODEL, "rb") as file:
        model = Model(file.read())
    count, labels = len(model._hashes), len(model.labels)
    weights = np.array(model._weights, dtype=np.int8).reshape(count, labels).T  # TFLite has a row for each output
    with open(path, "wb") as file:
        file.write(tflite_graph.linear(weights, np.array(model._scales, dtype=np.float32),
                                       np.array(model._biases, dtype=np.float32)))
    thresholds = [min(1000, round(one * 1000)) for one in model.thresholds]
    about = (f'summary = "Calls for help in short messages, in English"\ninput = "text"\n'
             f"labels = {list(model.labels)}\nthresholds_milli = {thresholds}\n[text]\nfeatures = \"words\"\n")
    hashes = struct.pack(f"<{count}I", *model._hashes)
    manifest.pack(path, {manifest.NAME: about.replace("'", '"').encode(), manifest.FEATURES: hashes})


if __name__ == "__main__":
    write(sys.argv[1])
