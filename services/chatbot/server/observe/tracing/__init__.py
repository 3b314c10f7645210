"""Spans of answers, for an OpenTelemetry collector; nothing of it is imported where none is named."""
