"""From a question that was asked to the answer that is sent and kept."""
