"""Answers to questions that are asked again, word by word: kept for a while, and made once for all who ask now."""
