"""What people may ask of whoever knows something about them: all of it in one file, and all of it gone."""
