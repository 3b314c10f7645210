"""Steps of the engine alone, in a process of their own: no HTTP, no waiting line; what its graphs cost."""
