"""Scores: features, then mergeable float64 moments, then a number that never travels without what it depends on."""
