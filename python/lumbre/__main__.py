"""`python -m lumbre`: the command `lumbre`."""

import sys

from lumbre.cli import main

if __name__ == "__main__":
    sys.exit(main())
