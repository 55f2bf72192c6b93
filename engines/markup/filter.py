"""Text in, the same text without Markdown out, character for character.

A decision depends on what is behind it and on a bounded window of what follows, never on how the text was pushed.
"""

import re
from typing import Final

from engines.clauses import WAIT, Undecided
from engines.markup.blocks import line_start
from engines.markup.fences import code_line
from engines.markup.inline import inline
from engines.markup.pauses import Rest, pause_tag, silence
from engines.markup.place import WINDOW_CHARS, Answer, Line, Look, Place
from engines.sentences import is_cjk

MAX_HELD_GAP_CHARS: Final = 40
"""So long a gap is held to see whether punctuation follows it."""

_MAX_ENDING_GAP_CHARS: Final = 6
_ENDING = re.compile("['’]?[a-zà-öø-ÿ]{1,4}(?![\\w'’])")
_ENDING_BEGUN = re.compile("['’]?[a-zà-öø-ÿ]{0,4}\\Z")
_PLAIN = re.compile(r"[^\[<]+")
_PUNCTUATION = ",.;:!?…)”，。；：！？）"
_OPENERS = "([{“„‘¿¡「（\"'"


class Markup:
    """Takes out of a text what a reader would not say, at the same length. Event loop only.

    With `is_markdown`, marks become spaces, ends of items, rows and headings become ends of sentences, and code blocks
    become silent. Inline pauses are understood either way.
    """

    def __init__(self, *, is_markdown: bool = True) -> None:
        self._is_markdown = is_markdown
        self._place = Place()
        self._pending = ""  # not decided yet
        self._gap = ""  # decided: what stands in place of marks, right behind a word

    @property
    def num_held_chars(self) -> int:
        """Pushed, and not given out yet."""
        return len(self._pending) + len(self._gap)

    def push(self, text: str) -> str:
        """What is decided so far of all that was pushed, in order."""
        self._pending += text
        return self._decide(is_final=False)

    def flush(self) -> str:
        """The rest, decided as if the text ended here. More may be pushed: then a new text begins, in which only a code
        block goes on that was not closed."""
        out = self._decide(is_final=True) + self._gap
        self._gap = ""
        if self._place.fence is not None:
            code_line(Look("\n", is_closed=True), self._place)
        self._place.begin_text()
        return out

    def take_rests(self) -> list[Rest]:
        """The pauses in what was given out since the last call."""
        rests, self._place.rests = self._place.rests, []
        return rests

    def _decide(self, *, is_final: bool) -> str:
        out: list[str] = []
        done = 0
        while done < len(self._pending):
            window = self._pending[done : done + WINDOW_CHARS]
            out.append(self._release_long(window[0]))
            look = Look(window, is_final or len(window) == WINDOW_CHARS)
            ending = self._word_ending(look)
            answer = ending or self._answer(look)
            if isinstance(answer, Undecided) and not look.is_closed:
                break
            output = answer if isinstance(answer, str) else window[0]
            source = window[: len(output)]
            done += len(output)
            out.append(self._give(source, output, is_pulled=ending is not None))
        self._pending = self._pending[done:]
        return "".join(out)

    def _give(self, source: str, output: str, *, is_pulled: bool) -> str:
        given = output if is_pulled else self._close_up(source, output)
        self._place.remember(given)
        self._place.advance(source, output)
        if source == "\n":
            self._place.end_line(is_break=output != "\n" or self._place.fence is not None)
        return given

    def _answer(self, look: Look) -> Answer:
        place = self._place
        if not self._is_markdown:
            plain = _PLAIN.match(look.text)
            return plain[0] if plain else self._pause(look)
        if place.fence is not None:
            return code_line(look, place)
        if not place.num_ticks:
            answer = self._pause(look)
            if answer is not None:
                return answer
        if place.is_line_start:
            answer = line_start(look, place)
            if answer is not None:
                return answer
            place.is_line_start = False
        return inline(look, place)

    def _pause(self, look: Look) -> Answer:
        if look.text[0] not in "[<":
            return None
        tag = pause_tag(look.text, is_closed=look.is_closed)
        if tag is None or isinstance(tag, Undecided):
            return tag
        self._place.rests.append(Rest(self._place.position, tag.duration_ms))
        return silence(tag.num_chars)

    def _close_up(self, source: str, output: str) -> str:
        """The output, with punctuation in front of a gap that stood behind it: **Bold**, with the comma at its word."""
        num_pulled = len(output) - len(output.lstrip(_PUNCTUATION)) if self._gap else 0
        num_blank = len(output) - len(output.lstrip(" "))
        if num_pulled:
            rest = self._close_up(source[num_pulled:], output[num_pulled:]) if output[num_pulled:] else ""
            return output[:num_pulled] + rest
        if not num_blank or not self._is_gap(source, num_blank):
            return self._release() + self._without_gap(source, output)
        self._gap += output[:num_blank]
        return self._close_up(source[num_blank:], output[num_blank:]) if output[num_blank:] else ""

    def _without_gap(self, source: str, output: str) -> str:
        """The output up to the blanks at its end that stand for a mark behind a word: they are the next gap."""
        body = output.rstrip(" ")
        if body == output or body[-1:].isspace() or not body or source[len(body)].isspace():
            return output
        self._gap = output[len(body) :]
        return body

    def _word_ending(self, look: Look) -> Answer:
        """What belongs to the word in front of a gap: **API**s, **Bob**'s."""
        last, previous = self._place.recent[-1:], self._place.previous
        if not 0 < len(self._gap) <= _MAX_ENDING_GAP_CHARS or previous.isspace() or not last.isalnum() or is_cjk(last):
            return None
        ending = _ENDING.match(look.text)
        if ending is None or (ending.end() == len(look.text) and not look.is_closed):
            return WAIT if not look.is_closed and _ENDING_BEGUN.match(look.text) else None
        return ending[0]

    def _is_gap(self, source: str, num_blank: int) -> bool:
        """Whether blanks stand for marks right behind a word, or part it from the end of its cell."""
        if source[0].isspace() and not self._is_padding(num_blank):
            return False
        if self._place.line is Line.RULE:
            return False
        last = self._place.recent[-1:]
        return bool(self._gap) or not (not last or last.isspace() or last in _OPENERS)

    def _is_padding(self, num_blank: int) -> bool:
        """Whether white space belongs to a cell, and is no more than what would be held of it one by one."""
        return self._place.line is Line.ROW and len(self._gap) + num_blank <= MAX_HELD_GAP_CHARS + 1

    def _release_long(self, following: str) -> str:
        """The gap, where it is too long to wait for more than one character."""
        if len(self._gap) <= MAX_HELD_GAP_CHARS or following in _PUNCTUATION:
            return ""
        gap = self._release()
        self._place.remember(gap)
        return gap

    def _release(self) -> str:
        gap, self._gap = self._gap, ""
        return gap
