"""Tools of tool servers: what of them is offered to the model, and why not (ADR 0017)."""
