"""Operator that brings models onto a cluster and rolls them out."""

__version__ = "0.1.0"
