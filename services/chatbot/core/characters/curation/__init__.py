"""Curated characters: entries of a file become characters, and stand before those that a store has."""
