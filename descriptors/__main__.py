"""`python -m descriptors`."""
# PYTHON_ARGCOMPLETE_OK: may be asked for completions, where argcomplete completes all Python commands

import sys

from descriptors.cli import main

if __name__ == "__main__":
    sys.exit(main())
