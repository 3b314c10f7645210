"""MCP, the protocol of tool servers, by its official SDK (ADR 0017)."""
