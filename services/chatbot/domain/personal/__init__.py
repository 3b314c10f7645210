"""Everything that is kept about a person: told, handed out, erased for good, and not kept longer than needed."""
