"""Every differentiable operation, a topic a file, each beside its formula and its rule."""
