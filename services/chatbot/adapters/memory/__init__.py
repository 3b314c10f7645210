"""What stands beside a conversation's turns, as the stores keep it: in its own row, so it goes whoever erases that."""
