"""What answers took and cost: prices, rows of use, and the port of the store that keeps them (ADR 0021)."""
