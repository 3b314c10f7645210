"""llama.cpp behind guarded calls, the file it is about to read, and the machine it runs on."""
