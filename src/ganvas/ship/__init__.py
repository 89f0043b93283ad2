"""Pictures on their way out: written, marked, packed for others."""
