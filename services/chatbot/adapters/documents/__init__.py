"""Documents outside the core: the embedded index, and the readers of file formats in their own process."""
