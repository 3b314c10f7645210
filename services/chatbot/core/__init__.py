"""Use cases over the ports of `chatbot.domain`: the waiting line, the prompt, one turn of a conversation."""
