"""Losses: pure functions, per picture; callers reduce, weight and log."""
