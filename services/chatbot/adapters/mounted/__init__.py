"""Files that change while they are used: mounted ConfigMaps, or what a person edits."""
