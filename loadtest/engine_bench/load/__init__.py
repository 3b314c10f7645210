"""What is asked of them: texts, a client that costs little, and the workloads W1-W7."""
