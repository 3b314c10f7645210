"""What answers took: metered while they are made, priced, recorded without making anybody wait, and told."""
