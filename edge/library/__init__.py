"""The library: packs, the index made of them, and the search. A running node loads edge/library/desk.py alone until
somebody asks."""

INDEX_NAME = "library.db"  # in the node's directory
