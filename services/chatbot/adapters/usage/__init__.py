"""Use and prices: rows in SQLite or MongoDB, the price table from its file."""
