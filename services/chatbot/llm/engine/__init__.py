"""What runs inside the engine process: llama.cpp, continuous batching and nothing of HTTP.

The API process imports only `frames` from here; everything else belongs to the child.
"""
