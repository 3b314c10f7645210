"""What the services can look up or work out for a user by themselves: nothing here sends, writes or executes."""
