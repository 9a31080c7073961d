"""Runs that learn from answers which people compared or rated."""
