"""Tenants: what they are called, and limits that contradict each other (ADR 0018)."""
