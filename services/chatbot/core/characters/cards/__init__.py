"""Cards: from what strangers write to a character, and back again."""
