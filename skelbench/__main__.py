"""``python -m skelbench``."""

import sys

from skelbench.cli import main

sys.exit(main())
