"""`/documents` and `/rag/query`: a user's documents, and questions to them."""
