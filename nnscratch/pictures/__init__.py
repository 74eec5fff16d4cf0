"""Pictures of networks and of their learning, by matplotlib: one function each, which returns the figure."""
