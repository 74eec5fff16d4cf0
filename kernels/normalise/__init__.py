"""Standardising values over axes, and its gradients."""
