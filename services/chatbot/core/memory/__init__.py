"""What stands beside a conversation's turns, on its way into the prompt."""
