"""Augmentation: of real pictures, and of all that the critic sees."""
