"""Where files and stores of users are kept."""
