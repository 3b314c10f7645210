"""What a key has to do with a request: whether it may, for which user, and what its owner can see of it."""
