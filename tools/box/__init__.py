"""The box: what runs on the SD-card image beside the node. None of it is imported by the node (docs/IMAGE.md)."""
