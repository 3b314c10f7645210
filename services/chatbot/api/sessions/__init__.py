"""`/chat`: one endpoint with sessions, roles, notes and documents, over the same core as `/Llama`."""
