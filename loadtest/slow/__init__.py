"""Thousands of slow clients at once, and what they cost: `python -m loadtest slow`."""
