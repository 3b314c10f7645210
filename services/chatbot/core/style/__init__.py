"""Characters stay themselves: rules of style checked, edited and, once, asked for again (ADR 0026)."""
