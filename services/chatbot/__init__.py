"""Local-LLM chat services: office assistant and role-play character."""

__version__ = "0.1.0"
