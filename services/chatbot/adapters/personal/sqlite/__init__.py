"""In the files of one machine."""
