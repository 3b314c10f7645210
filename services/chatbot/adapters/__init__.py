"""Every other outside system: conversation stores, files that are followed while running."""
