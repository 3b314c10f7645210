"""What must not be done with what people say; told apart from what they may do (`domain.access`)."""
