"""`python -m descriptors`."""

import sys

from descriptors.cli import main

if __name__ == "__main__":
    sys.exit(main())
