"""Characters: what they are called, the cards that some of them name, and what their statuses tell (ADR 0023)."""
