"""Answers as a model might write them, for properties."""

from hypothesis import strategies as st

PIECES = [
    *(" The", " Dr", " Mr", " U", " S", " e", " g", " No", " is", " and", " it", " Hello", " vitamin", " C", " J"),
    *(" 3", "3", "14", " 1999", " 5", "a", "B", "Je", " suis", " z", " iPhone"),
    *(".", ".", ".", ".", "!", "?", "...", " .", "…", "?!", ". ", ".S", ".m", ".The", ".)", '."', '"', ' "', ")"),
    *("\n", "\n\n", ".\n", ".\n\n", '."\n\n', ":\n", ",", ":", "-", " -", "1.", "*", " »", "« ", "”", "“", " (", "'s"),
    *("。", "你好", "！", "」", "「", "😀", " ", "  ", ""),
]  # fmt: skip

pieces = st.lists(st.sampled_from(PIECES), max_size=40)
"""What tokens write: sentences, abbreviations, numbers, quotes, lines, and what is in between."""
