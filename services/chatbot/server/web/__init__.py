"""The web: its settings and how its parts are put together."""
