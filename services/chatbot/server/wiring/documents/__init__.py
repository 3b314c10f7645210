"""Settings -> documents: their store, their workers, and what endpoints ask."""
