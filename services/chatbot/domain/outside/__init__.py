"""What is outside the house: its text, and what keeps its trouble from becoming ours."""
