"""Records of what administrators and operators did: written before it is done, chained, and checked."""
