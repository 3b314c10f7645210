"""Words and vectors of passages in a Qdrant; MongoDB has the rest and decides what counts (ADR 0029)."""
