"""Documents in MongoDB: single-document updates alone, no transactions, so that any MongoDB will do (ADR 0019)."""
