"""How a written text is read aloud: numbers, dates, money, addresses, abbreviations; and where each word comes from."""

from engines.reading.lexicon import Lexicon
from engines.reading.reader import is_read, read
from engines.reading.spoken import Sound, Span, Spoken

__all__ = ["Lexicon", "Sound", "Span", "Spoken", "is_read", "read"]
