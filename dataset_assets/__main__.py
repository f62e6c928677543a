"""`python -m dataset_assets` is the command line."""

import sys

from dataset_assets.cli import main

if __name__ == "__main__":
    sys.exit(main())
