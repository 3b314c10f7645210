"""How tools, calls and results are told to a model that was made for none of them (ADR 0013)."""
