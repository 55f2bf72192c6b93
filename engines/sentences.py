"""Where a sentence ends, seen from one place in a text that is still growing.

Source: Unicode UAX #29, sentence boundaries (SB5-SB11: closing quotes belong to the sentence, lower case
behind a full stop continues it, "!" and "?" end it); Punkt for abbreviations, initials and ordinals (see
engines/abbreviations.py).
"""

import re

from engines.full_stops import Ahead, Stop, Verdict, full_stop_end

LOOKAHEAD = 24
"""With this many characters behind a place, what it is never depends on more."""

LOOKBEHIND = 80
"""No decision depends on characters further back than this."""

CJK_STOPS = "。！？｡"
STRONG_STOPS = "!?؟۔।॥‼⁇⁈⁉"
STOPS = frozenset(f".…{STRONG_STOPS}{CJK_STOPS}")
CLOSERS = frozenset("\"'”’“‘»«›‹)]}*_`」』）】》〉〕］｣")

_EITHER_WAY = frozenset("“‘«‹")  # close in German, open in Chinese: 他说。“好”
_CONTINUES = (STOPS | CLOSERS) - _EITHER_WAY
_CJK = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff々〆]")
_BLANK_LINE = re.compile(r"\n[^\S\n]*\n|\u2029")
_LONE_WORD = re.compile(r"(?:^|[.!?…。！？\n\"“”„«»(\[])\s*[\w'’]*\s*$")
_LIST_MARKER = re.compile(r"(?:[-*•+–—▪◦]|\d{1,3}[.)]|#{1,6})\s|\|")
_LIST_MARKER_BEGUN = re.compile(r"[-*•+–—▪◦]|\d{1,3}[.)]?|#{1,6}")

# A line shorter than this, with a capital behind it, is a heading or a verse; a longer one is wrapped prose.
_SHORT_LINE_CHARS = 45
_SHORT_CJK_LINE_CHARS = 20


def is_cjk(char: str) -> bool:
    """Whether a character belongs to a script that puts no spaces between words (Han, Kana)."""
    return _CJK.match(char) is not None


def has_blank_line(gap: str) -> bool:
    """Whether white space holds a paragraph break."""
    return _BLANK_LINE.search(gap) is not None


def sentence_end(text: str, index: int, *, is_final: bool = False) -> Verdict:
    """Whether a sentence ends at `text[:index]`. Any thread.

    `index` is just behind a terminator and its closing quotes and brackets, or behind the newline that ends a
    line; anywhere else the answer is NOT_END. A verdict once given does not change as text grows. NEED_MORE
    is never given when `is_final`, nor with LOOKAHEAD characters behind `index`."""
    if text[index - 1 : index] == "\n":
        return _line_end(text, index, is_final)
    if text[index : index + 1] in _CONTINUES:
        return Verdict.NOT_END
    stop = _stop_before(text, index)
    if stop is None:
        return Verdict.NOT_END
    ahead = _look_ahead(text, index, is_final)
    if not ahead.gap and not ahead.visible:
        return Verdict.END if is_final else Verdict.NEED_MORE
    if stop.run[-1] in CJK_STOPS:
        return _cjk_end(stop, ahead)
    return _western_end(stop, ahead)


def _stop_before(text: str, index: int) -> Stop | None:
    low = max(0, index - LOOKBEHIND)
    end = index
    while end > low and text[end - 1] in CLOSERS:
        end -= 1
        while text[end] == "»" and end > low and text[end - 1] in " \u00a0\u202f":  # French: « Non ! »
            end -= 1
    start = end
    while start > low and text[start - 1] in STOPS:
        start -= 1
    return None if start == end else Stop(text[low:start], text[start:end], text[end:index].lstrip())


def _look_ahead(text: str, index: int, is_final: bool) -> Ahead:
    window = text[index : index + LOOKAHEAD]
    visible = window.lstrip()
    return Ahead(window[: len(window) - len(visible)], visible, is_final or len(window) == LOOKAHEAD)


def _cjk_end(stop: Stop, ahead: Ahead) -> Verdict:
    if not _EITHER_WAY.isdisjoint(stop.closers):
        return Verdict.NOT_END  # that quote opened: the end stood in front of it
    if stop.closers and not ahead.gap and ahead.visible[0].isalnum():
        return Verdict.NOT_END  # 「はい。」と言った
    return Verdict.END


def _western_end(stop: Stop, ahead: Ahead) -> Verdict:
    if has_blank_line(ahead.gap):
        return Verdict.END
    if not ahead.visible:
        return Verdict.END if ahead.is_closed else Verdict.NEED_MORE
    if not ahead.gap and not _stands_apart(ahead.visible[0]):
        return Verdict.NOT_END
    if (verdict := _spaced_punctuation(stop, ahead)) is not None:
        return verdict
    if stop.closers:  # «Стой!» — сказал он
        ahead = ahead._replace(visible=ahead.visible.lstrip("—–- "))
        if not ahead.visible:
            return Verdict.END if ahead.is_closed else Verdict.NEED_MORE
    if not set(STRONG_STOPS).isdisjoint(stop.run):
        return Verdict.NOT_END if stop.closers and ahead.visible[0].islower() else Verdict.END
    if stop.run != ".":
        is_open = ahead.visible[0].islower() or _LONE_WORD.search(stop.before)
        return Verdict.NOT_END if is_open else Verdict.END
    return full_stop_end(stop, ahead)


def _stands_apart(char: str) -> bool:
    """A character that needs no space in front of it to begin a sentence: CJK, an emoji."""
    return is_cjk(char) or ord(char) >= 0x1F000


def _spaced_punctuation(stop: Stop, ahead: Ahead) -> Verdict | None:
    """French and typewriter spacing: the run goes on behind a space ("Non ? !", ". . .", "« Non ! »")."""
    first, second = ahead.visible[0], ahead.visible[1:2]
    if first in STRONG_STOPS or (first == "." and not stop.before[-1:].strip()):
        return Verdict.NOT_END
    if first == "»":
        if not second and not ahead.is_closed:
            return Verdict.NEED_MORE
        return None if second.isalnum() else Verdict.NOT_END
    return None


def _line_end(text: str, index: int, is_final: bool) -> Verdict:
    line = text[max(0, index - LOOKBEHIND) : index - 1].rpartition("\n")[2].rstrip()
    ahead = _look_ahead(text, index, is_final)
    if not line or "\n" in ahead.gap:
        return Verdict.END
    if not ahead.visible:
        return Verdict.END if ahead.is_closed else Verdict.NEED_MORE
    if _LIST_MARKER.match(ahead.visible):
        return Verdict.END
    if _LIST_MARKER_BEGUN.fullmatch(ahead.visible) and not ahead.is_closed:
        return Verdict.NEED_MORE
    if line[-1] in STOPS or line[-1] in CLOSERS:
        return _unpunctuated_or(text, index, line, ahead, is_final)
    return Verdict.END if _is_whole_line(line, ahead) else Verdict.NOT_END


def _unpunctuated_or(text: str, index: int, line: str, ahead: Ahead, is_final: bool) -> Verdict:
    """The verdict of the terminator that ends the line, or of the line where its closers close nothing."""
    window = text[max(0, index - LOOKBEHIND) : index]
    end = index - len(window) + len(window.rstrip())
    if _stop_before(text, end) is None:
        return Verdict.END if _is_whole_line(line, ahead) else Verdict.NOT_END
    return sentence_end(text, end, is_final=is_final)


def _is_whole_line(line: str, ahead: Ahead) -> bool:
    """Whether a line without terminator stands for itself (heading, item, verse), and is no wrapped prose."""
    if ahead.visible[0].islower() or line[-1] in ",;，；、-–—":
        return False
    if line[-1] in ":：" or (_LIST_MARKER.match(line.lstrip()) and not ahead.gap):
        return True
    return len(line) < (_SHORT_CJK_LINE_CHARS if is_cjk(line[-1]) else _SHORT_LINE_CHARS)
