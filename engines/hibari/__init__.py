"""The CPU model that Tiding starts with: hibari-tts, a small neural English voice inside its package.

hibari renders a sentence at once. Here the same arithmetic is split where it can be, with the same samples as result:
prefill is text to phonemes and the neural network (on a pool of two threads), a step is the next 200 ms of its signal
processing.
"""

from engines.hibari.model import Hibari, load

__all__ = ["Hibari", "load"]
