"""What stands for people where their names must not; the one place where that is made."""
