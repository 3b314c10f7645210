"""The loop in which a model calls our tools and reads their results before it answers: bounded in every direction."""
