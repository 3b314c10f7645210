"""Tools that ask somebody outside: only what the operator configured, and never with the words of a page."""
