"""The recipes: complete configs as YAML, each citing its source."""
