"""The command line, for ``python -m stepsmith``."""

from .backend.cli import main

if __name__ == "__main__":
    main()
