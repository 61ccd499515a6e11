"""What every test shares: small UMAPs run without numba's compiler, which takes far longer than they do."""

import os

os.environ.setdefault("NUMBA_DISABLE_JIT", "1")
