"""Pages for people: templates beside their texts."""
