"""``python -m spacex.cli``."""

import sys

from spacex.cli import main

if __name__ == "__main__":
    sys.exit(main())
