"""A conversation's note and pins as the stores keep them: in its own row, so that they go with it whoever erases it."""
