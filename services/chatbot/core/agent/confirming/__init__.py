"""Calls that do more than read: shown to their user first, run once he confirms them, once at most (ADR 0030)."""
