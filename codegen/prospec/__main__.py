"""`python -m prospec`: the same as the `prospec` command."""

from .cli import main

if __name__ == "__main__":
    raise SystemExit(main())
