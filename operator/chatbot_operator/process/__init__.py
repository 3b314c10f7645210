"""What the operator's process needs around its work: environment, logs, endpoints, sign of life."""
