"""What a MicroPython firmware freezes to be a leaf: `make ... FROZEN_MANIFEST=/path/to/waypost/manifest.py`.

The same files as in package.json, which `mip` installs instead; tests/test_leaf.py keeps the two alike. docs/LEAF.md.
"""

package(  # noqa: F821  the names of a manifest come from MicroPython's own makemanifest.py
    "edge",
    files=[
        "__init__.py",
        "compat/__init__.py",
        "compat/aio.py",
        "compat/aio_micropython.py",
        "compat/crypto.py",
        "compat/hashing.py",
        "compat/pure.py",
        "compat/sealing_ffi.py",
        "compat/sodium_ffi.py",
        "core/__init__.py",
        "core/cbor.py",
        "core/community.py",
        "core/cose.py",
        "core/effects.py",
        "core/fragment.py",
        "core/frame.py",
        "core/gossip.py",
        "core/hlc.py",
        "core/index.py",
        "core/limits.py",
        "core/link.py",
        "core/machine.py",
        "core/message.py",
        "core/near.py",
        "core/outbox.py",
        "core/peers.py",
        "core/pinsketch.py",
        "core/ranges.py",
        "core/rng.py",
        "core/sealed.py",
        "leaf.py",
    ],
    base_path=".",
    opt=3,
)
