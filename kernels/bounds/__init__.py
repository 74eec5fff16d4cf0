"""Checks whether an array's values lie between two bounds."""
