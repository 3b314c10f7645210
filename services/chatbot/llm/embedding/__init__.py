"""Vectors of texts: a model of our own in an engine process, or any OpenAI-compatible API."""
