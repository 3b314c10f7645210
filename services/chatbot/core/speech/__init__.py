"""Answers cut for voices: what can be said of a text, in segments that end where a speaker would breathe."""
