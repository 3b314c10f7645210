"""Tool servers: what others offer to be called (ADR 0017)."""
