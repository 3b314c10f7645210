"""Planning of rollouts: which revision each consumer is given, and what is thought of the new one."""

from chatbot_operator.plan.rollout.course import plan_rollout

__all__ = ["plan_rollout"]
