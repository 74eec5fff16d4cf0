"""A computation made visible: the graph behind a tensor, and its steps with their numbers."""
