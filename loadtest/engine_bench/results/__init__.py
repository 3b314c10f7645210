"""From answers to figures, from figures to ratios, from ratios to a table."""
