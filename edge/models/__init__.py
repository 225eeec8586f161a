"""Local models: what is installed, whether it fits this machine, and the worker process that runs one at a time.

The node's side (catalogue, budget, host) loads nothing heavy; whatever computes lives in the worker (worker.py and the
engines), which has no key, no database and no network. docs/MODELS.md.
"""
