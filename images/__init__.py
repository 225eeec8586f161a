"""The SD-card image: recipe in pi/, builder, and tests that start it in QEMU (docs/IMAGE.md)."""
