"""Sets the wall clock of a Python process an hour ahead, when this folder is on its PYTHONPATH."""

import time

_true = time.time
time.time = lambda: _true() + 3600.0
