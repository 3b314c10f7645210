"""`/characters`: cards to import, to keep, to try and to take away again."""
