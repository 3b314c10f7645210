"""`GET /tools`: what the local model may call, and why not."""
