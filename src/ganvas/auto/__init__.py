"""Choosing what to train: look at the pictures, measure the machine, decide with reasons, and say what to expect."""
