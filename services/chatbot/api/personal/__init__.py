"""What people ask of whoever knows something about them."""
