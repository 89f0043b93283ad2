"""ganvas turns a folder of pictures into a generator of new ones."""

__version__ = "0.1.0"
