"""The programs that are compared: how each is started, asked whether it is ready, measured and ended."""
