"""`/v1/files` and `/v1/vector_stores`: the OpenAI API's words for documents and their collections."""
