"""Our service beside llama.cpp's own server and others: same file, same libraries, same work, interleaved rounds."""
