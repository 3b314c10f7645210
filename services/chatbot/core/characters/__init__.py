"""Characters: cards read and written, prompts made of them, and which one plays in a conversation."""
