"""``python -m tracectrl_logging.cli``: the command where its script is not on the path."""

from tracectrl_logging.cli import main

if __name__ == "__main__":
    main()
