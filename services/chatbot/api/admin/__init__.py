"""Keys over HTTP, for administrators: an app of its own on the metrics port, which no gateway leads to."""
