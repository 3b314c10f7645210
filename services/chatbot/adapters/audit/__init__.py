"""Records of the audit in a file, or in MongoDB."""
