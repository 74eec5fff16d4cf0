"""Two-dimensional convolution and its two gradients."""
