"""Keys: how they look, how they are checked, and where they come from."""
