"""Planning of downloads: when to make which attempt, where it runs, and how it ended."""

from chatbot_operator.plan.download.attempts import plan_download

__all__ = ["plan_download"]
