"""What the services are about, in plain Python: nothing here knows a framework, a network or a clock."""
