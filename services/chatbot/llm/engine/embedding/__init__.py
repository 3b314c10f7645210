"""What runs inside the engine process of an embedding model: texts in, vectors of length 1 out."""
