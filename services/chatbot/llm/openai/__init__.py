"""The second backend: any OpenAI-compatible API, through the official SDK."""

from chatbot.llm.openai.generator import OpenAIGenerator, OpenAIOptions

__all__ = ["OpenAIGenerator", "OpenAIOptions"]
