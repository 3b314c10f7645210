"""What is kept about a person, read and removed behind the stores' back, table by table."""
