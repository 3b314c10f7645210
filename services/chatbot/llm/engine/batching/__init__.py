"""Continuous batching: which tokens of which generation are computed in the next step."""
