"""Documents: cut into passages, indexed by their words, found again, and read by durable jobs."""
