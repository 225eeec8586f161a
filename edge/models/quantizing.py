"""Makes a smaller GGUF of a large one: weights in fewer bits. Run as a script by tools/model_work.py.

    quantizing.py SOURCE_FD TARGET_FD FILE_TYPE THREADS [SEARCH PATH...]

Both files are open; it can open no other once it has begun to read the foreign one. Prints what went wrong as one line.
"""

from __future__ import annotations

import os
import sys

MEMORY_BYTES = 8 << 30  # at most: it reads tensor by tensor, but some models have one of gigabytes


def main(source: int, target: int, file_type: int, threads: int) -> int:
    """Quantize; gives the exit code."""
    from edge.models import llama, sandbox

    c = llama.binding()
    quiet = c.llama_log_callback(lambda _level, _text, _data: None)
    c.llama_log_set(quiet, None)
    sandbox.limit(MEMORY_BYTES)
    sandbox.enter(reads=source, writes=target)
    os.nice(sandbox.NICE)
    c.llama_backend_init()
    params = c.llama_model_quantize_default_params()
    params.ftype = file_type
    params.nthread = threads
    params.allow_requantize = True
    code = c.llama_model_quantize(f"/proc/self/fd/{source}".encode(), f"/proc/self/fd/{target}".encode(), params)
    if code:
        print(f"llama.cpp can't quantize this model (error {code})", file=sys.stderr)
    return 1 if code else 0


if __name__ == "__main__":
    sys.path[:] = sys.argv[5:]
    try:
        sys.exit(main(*map(int, sys.argv[1:5])))
    except ImportError as error:
        sys.exit(f"the package {error.name} is missing: make models")
