"""Objects of a namespace, compiled into one ConfigMap that its services mount: what is the same for every kind.

Tenants and Characters are such kinds (ADR 0018, ADR 0023); each has a room beside this one for what it alone knows.
"""
