"""In the one database of a cluster."""
