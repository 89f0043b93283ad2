"""Pictures: where they come from, how they are prepared, and the packed data set that everything else reads."""
