"""Each case is two lines: what is written, and under it, character for character, what is left of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.markup import Markup
from tests.markup.filtering import filtered

INSIDE_A_LINE = r"""
**bold** and __bold__, *italic* and _italic_.
  bold   and   bold,    italic  and  italic.

***both***, **_both_** ~~struck~~ ==marked==!
   both,       both      struck     marked!

"**Yes**" (*no*) **API**s, **Bob**'s; *un*do 这是**重点：**内容
"  Yes  " ( no)    APIs,     Bob's;    undo  这是  重点：  内容

2 * 3, a*b, 5*3, 2**3, 5 * 4 * 3, (a+b)*(c+d), 2*(3+4)
2 * 3, a*b, 5*3, 2**3, 5 * 4 * 3, (a+b)*(c+d), 2*(3+4)

snake_case _a_b_ x_{i} $x_{1} * y_2$ /_a_/ ~5 a == b a==b ==> !==
snake_case  a_b  x_{i} $x_{1} * y_2$ /_a_/ ~5 a == b a==b ==> !==

Terms apply*. It is *so*, *very* good
Terms apply.  It is  so,   very  good

Call `f(*a, **k)`, ``a ` b``, or it`s **so**.
Call  f(*a, **k),    a   b,   or its    so.

[text](http://a.b/c_(d)_e "A title"), [a][b], [c] d]
 text,                                 a,      c  d]

![alt *text*](a.png) wow![1] w[1], [2] x[^2]. y[1][2] z[3](http://q)
  alt  text          wow!    w,     2  x.     y       z

[a](b c) f(x)[i] [1, 2]
 a (b c) f(x) i   1, 2

<https://a.b/_c_> <me@a.b>, <b>x</b> y <em class="x">w</em>
 https://a.b/_c_   me@a.b,     x     y               w

a < b <3 Vec<String> <your name> <!-- not this --> <-- x
a < b <3 Vec String   your name                    <-- x

AT&amp;T R&D &lt; &nbsp;x &#65; &#x42; &nope; &
AT&    T R&D <          x A     B      &nope; &

\*not\* 5\% \$5 and $6 C:\Users \\ \( a \)
 *not * 5 %  $5 and $6 C:\Users  \  ( a  )

https://a.b/_c_*d*~~e~~#[f] www.a.b/__c__ (http://a_.b)
https://a.b/_c_*d*~~e~~#[f] www.a.b/__c__ (http://a_.b)

**https://a.b/c_**, [https://a_b](https://a_b) | # - 1. x
  https://a.b/c_,    https://a_b               | # - 1. x
"""

BLOCKS = r"""
# One ##{}## Two{}#three{}####### four
  One   {}.  Two{}#three{}####### four

One{}==={}{}***{}_ _ _{}x
One{}.  {}{}   {}     {}x

> a{}> b{}>{}> c
  a{}  b{} {}  c

a{}- b{}  * c{}+ d{}• e{}•f
a{}. b{}  . c{}. d{}. e{}.f

-5{}+5{}*a*{}- {}--a{}** b
-5{}+5{} a {}. {}--a{}** b

- [ ] a{}- [x] b{}1. [X] c{}- [a] d
      a{}.     b{}1,     c{}.  a  d

1. Wash{}2. Dry{}2) Go{}3) Be{}9. May
1, Wash{}2, Dry{}2, Go{}3, Be{}9. May

| a | b |{}|:--|---|{}| c |   | d |{}|e|f|
  a,  b .{}.        {}  c,      d .{}.e,f

a | b{}--- | ---{}1 | 2
a | b{}.        {}1 | 2

a{}```py{}*b*{}```{}c
a{}.    {}   {}   {}c

````{}```{}a{}```{}````{}b
    {}   {} {}   {}    {}b

- ```{}  a{}  ```{}~~~ {}```{}~~~{}b
     {}   {}     {}    {}   {}   {}b

```a``` b{}`c`{}a{}[b]: http://a 'c'{}[^1]: d
   a    b{} c {}a{}.                {}      d

[a]: b{}[N]: a b c
      {} N:  a b c
"""


def cases(text: str) -> list[tuple[str, str]]:
    pairs = [pair.split("\n") for pair in text.strip("\n").split("\n\n")]
    return [(written, left.ljust(len(written))) for written, left in pairs]


def with_lines(written: str, left: str) -> tuple[str, str]:
    """`{}` stands for the end of a line; a full stop under a mark for the newline that ends the sentence above."""
    written = written.replace("{}", "\n")
    marks = (
        mark if mark != "." or kept == "." else "\n"
        for mark, kept in zip(left.replace("{}", "\n"), written, strict=True)
    )
    return written, "".join(marks)


@pytest.mark.parametrize(("written", "left"), cases(INSIDE_A_LINE))
def test_marks_are_taken_out_and_what_only_looks_like_them_stays(written: str, left: str) -> None:
    assert filtered([written]).text == left


@pytest.mark.parametrize(("written", "left"), cases(BLOCKS))
def test_marks_that_begin_lines_are_taken_out(written: str, left: str) -> None:
    written, left = with_lines(written, left)
    assert filtered([written]).text == left


@pytest.mark.parametrize("ending", ["\n", "\r\n", "  \n"])
def test_any_end_of_a_line_is_one(ending: str) -> None:
    written = f"# A{ending}- b{ending}---{ending}```py{ending}code{ending}```{ending}c"
    assert filtered([written]).text.split() == ["A", "b", "c"]


@given(st.text(alphabet=st.characters(exclude_characters="\\*_~=`[]!<&#|>-+•:\n0123456789", codec="utf-8")))
def test_prose_is_as_it_was_and_never_waits(text: str) -> None:
    markup = Markup()
    assert "".join(map(markup.push, text)) == text


@pytest.mark.parametrize("text", ["It costs 5 dollars (or so), you know: 3.50!", "Well - yes; 1. no + 2 > 1."])
def test_only_what_may_begin_a_mark_is_held(text: str) -> None:
    markup = Markup()
    given = [markup.push(char) for char in text]
    held = {char for char, out in zip(text, given, strict=True) if not out}
    assert held <= {"!"}


@pytest.mark.parametrize(
    "begun", ["**", "a `", "[", "[a](", "see [a](http://b", "# Title\n", "- ", "12.", "<b", "| a ", "&am"]
)
def test_what_is_held_is_given_out_by_a_flush(begun: str) -> None:
    markup = Markup()
    assert len(markup.push(begun)) < len(begun)
    assert markup.num_held_chars > 0
    markup.flush()
    assert markup.num_held_chars == 0


def test_a_flush_ends_the_text_but_not_a_code_block() -> None:
    markup = Markup()
    given = [markup.push("**a") + markup.flush(), markup.push("- b\n```\nc") + markup.flush()]
    given += [markup.push("d\n```") + markup.flush(), markup.push("e") + markup.flush()]
    assert [piece.split() for piece in given] == [["a"], ["b"], [], ["e"]]
