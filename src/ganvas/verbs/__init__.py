"""What each verb does: the parts below joined into train, sample and evaluate. `ganvas.api` is their public face."""
