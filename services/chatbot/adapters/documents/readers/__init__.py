"""Readers of file formats: bytes -> blocks of text. They run in a process of their own, with limits (ADR 0014)."""
