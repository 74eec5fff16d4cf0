"""Pure array functions: they know arrays, never tensors."""
