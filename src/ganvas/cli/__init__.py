"""The command line. Free of torch, numpy and pydantic at import: what is heavy is imported inside the commands."""
