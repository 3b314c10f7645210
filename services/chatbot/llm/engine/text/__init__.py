"""Text to token ids and back: the only places where tokens and characters meet."""
