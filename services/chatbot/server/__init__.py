"""The process: settings, wiring, life cycle, logs and metrics. The only place that knows every part."""
