"""What a node keeps: one SQLite file, written by one thread, and the courier file that carries messages by hand.

Acknowledged means committed with synchronous=FULL. docs/STORE.md says what each setting costs and why it is there.
"""
