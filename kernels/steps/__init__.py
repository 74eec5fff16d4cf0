"""Optimisers' steps."""
