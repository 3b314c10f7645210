"""What users set beside a conversation's turns, over HTTP."""
