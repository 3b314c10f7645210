"""How the API process watches over its engine process: files, restarts, and what is said of it."""
