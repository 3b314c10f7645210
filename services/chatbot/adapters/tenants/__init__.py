"""Where policies of tenants come from."""
