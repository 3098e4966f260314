"""`python -m presat` is the `presat` command."""

from presat.cli import main

if __name__ == "__main__":
    main()
