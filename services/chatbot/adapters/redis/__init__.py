"""How stores reach a Redis or Valkey, and conversations that live in one; counters of limits are in `limits`."""
