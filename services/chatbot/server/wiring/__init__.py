"""Settings -> working parts; the composition root of the services. Nothing else knows all layers."""
