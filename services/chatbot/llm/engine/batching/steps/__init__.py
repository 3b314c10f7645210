"""One step: how many rows of which prompts, in which graphs, and how long it takes."""
