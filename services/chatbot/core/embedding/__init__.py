"""Vectors for whoever asks: counted, bounded and paid for."""
