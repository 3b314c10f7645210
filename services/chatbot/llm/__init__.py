"""Model backends: the engine process (llama.cpp) and OpenAI-compatible APIs, both behind `TextGenerator`."""
