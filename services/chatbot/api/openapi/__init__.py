"""The OpenAPI 3.1 file of a service: every body, header, answer and error that its routes have."""
