"""`python -m ganvas`, the same as `ganvas`."""

from ganvas.cli.main import main

if __name__ == "__main__":
    main()
