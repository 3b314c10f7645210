"""Where accounts of limits are counted: one file, or one collection."""
