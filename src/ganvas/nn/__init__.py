"""Blocks without policy: convolutions, normalisation, resampling and embeddings."""
