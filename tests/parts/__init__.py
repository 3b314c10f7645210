"""Real parts and stand-ins that several tests start: toy models, servers that misbehave, clients."""
