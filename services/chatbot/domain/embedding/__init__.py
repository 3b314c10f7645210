"""Texts as vectors: what the core asks for, and what the edge makes them with."""
