"""Settings -> who may, and who may look: administrators of keys, and the collector of traces."""
