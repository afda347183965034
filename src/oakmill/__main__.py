"""Lets `python -m oakmill` stand for the `oakmill` command."""

from oakmill.cli.main import main

if __name__ == "__main__":
    main()
