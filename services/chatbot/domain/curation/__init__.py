"""Characters that whoever operates the services brings in a file: read-only, and before those of the same name."""
