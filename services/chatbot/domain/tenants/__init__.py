"""What a tenant may: its policy, and how that is read from plain values."""
