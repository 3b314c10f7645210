"""Files that hold character cards, and where characters are kept."""
