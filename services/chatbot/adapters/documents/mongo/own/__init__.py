"""What MongoDB itself finds passages by: rows of words and of vectors, read and ranked in the service."""
