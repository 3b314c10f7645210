"""What a conversation is told in every answer, beside its turns: chosen by its user, not by what fits."""
