"""`python -m app.cli`: the same as `tiding`."""

import sys

from app.cli import main

sys.exit(main())
