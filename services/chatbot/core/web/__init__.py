"""Answers from the web: what the model is given, and what of its answer is believed (ADR 0015)."""
