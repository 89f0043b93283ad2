"""Hooks that join training and scores."""
