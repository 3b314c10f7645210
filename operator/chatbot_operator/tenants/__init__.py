"""Tenants: objects of a namespace, compiled into one ConfigMap that its services mount (ADR 0018)."""
