"""Builds the SD-card image and the update bundle: `make image` (docs/IMAGE.md)."""
