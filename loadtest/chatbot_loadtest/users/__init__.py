"""Users that Locust plays."""
