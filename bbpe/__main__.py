"""``python -m bbpe``: the command line, where its entry point is not on the path."""

from bbpe.cli import main

if __name__ == "__main__":
    main()
