"""Measurements of nnscratch; see README.md beside this file."""
