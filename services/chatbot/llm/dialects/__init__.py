"""How tools, calls and results are told to a model: in its own words, or in plain text to any other (ADR 0013)."""
