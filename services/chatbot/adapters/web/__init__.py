"""The web from here: the only door to addresses that somebody else names (ADR 0015)."""
