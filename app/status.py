"""How a worker ends, for whoever started it."""

from typing import Final

FAILED: Final = 1
"""Another one may do better."""

GAVE_UP: Final = 3
"""It has never served, and would not the next time either."""
