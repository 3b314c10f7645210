"""What a run leaves behind: its tables, read again, and what is computed from them."""
