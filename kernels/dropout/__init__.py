"""The random masks of dropout."""
