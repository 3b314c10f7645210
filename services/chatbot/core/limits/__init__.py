"""Limits of keys: reserved before an answer, settled after it, given back where there was none (ADR 0016)."""
