"""``python -m modelci`` and the console script."""

from modelci.cli import main

if __name__ == "__main__":
    main()
