"""Settings -> all stores that keep anything about people: the one list of them, and who empties them."""
