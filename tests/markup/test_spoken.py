"""An answer as an LLM writes it, cut into what a person would read aloud."""

import pytest

from engines.cleaning import clean
from engines.markup import Markup
from engines.segmenter import Segmenter
from tests.markup.filtering import spoken

ANSWER = """\
# How to make *tea*
Making good tea is **easy**: follow these steps.

## What you need for a really good cup of tea, and why you need it at all
you need only a few things:
- **Water**, fresh
* Tea leaves (see [this guide](https://example.com/tea_guide?x=1#y)).
  - green
+ a cup that is big enough for all of the tea that you intend to drink today
- [ ] `milk`

Steps
=====
1. Boil the water
2. Pour it over the leaves, and wait for about three minutes or a little longer
3. **Drink**.

> Tea is life.
> It really is.

---

| Name | Minutes | Note |
|------|:-------:|------|
| Green | 2 | |
| a black tea that is as strong as a tea can be | 4 | strong
it is done

Use this code:
```python
def brew(leaves: int = 5 * 3) -> None:
    print("**tea**")
```
then run `brew()`. It costs $5 and $6.[^1]

[ref]: https://example.com "Title"
[^1]: In 2020 only.
"""

READ = """\
How to make tea
Making good tea is easy: follow these steps.
What you need for a really good cup of tea, and why you need it at all。
you need only a few things:
Water, fresh
Tea leaves (see this guide).
green
a cup that is big enough for all of the tea that you intend to drink today
milk
Steps
1, Boil the water
2, Pour it over the leaves, and wait for about three minutes or a little longer
3. Drink.
Tea is life.
It really is.
Name, Minutes, Note
Green, 2
a black tea that is as strong as a tea can be, 4, strong。
it is done
Use this code:
then run brew().
It costs $5 and $6.
In 2020 only.
"""


def test_an_answer_is_read_as_a_person_would() -> None:
    assert spoken(ANSWER) == READ.splitlines()


def test_an_answer_that_comes_letter_by_letter_is_read_the_same() -> None:
    markup, segmenter = Markup(), Segmenter()
    segments: list[str] = []

    def take(given: str, *, is_final: bool) -> None:
        segmenter.push(clean(given))
        while (segment := segmenter.next(is_final=is_final)) is not None:
            segments.append(" ".join(segment.text.split()))

    for char in ANSWER:
        take(markup.push(char), is_final=False)
    take(markup.flush(), is_final=True)
    assert segments == READ.splitlines()


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("one thing\n- two\n- three", ["one thing", "two", "three"]),
        ("1. a\n2. b\n10. c", ["1, a", "2, b", "10. c"]),
        ("am 3. Mai\n24. Dezember", ["am 3. Mai", "24. Dezember"]),
        ("## 1. Set up\nNow do it.", ["1, Set up", "Now do it."]),
        ("a</p>b<br>C", ["a", "b", "C"]),
        ("It is **done.** Next one.", ["It is done.", "Next one."]),
        ("See [a](http://example.com/a/long/one/that/nobody/reads/aloud). Next.", ["See a.", "Next."]),
        ("He said it[1]. She too[2][3]. *Sure*.", ["He said it.", "She too.", "Sure."]),
        ("Dr. **No**. It ran.", ["Dr. No.", "It ran."]),
    ],
)
def test_sentences_end_where_they_would_without_the_marks(text: str, segments: list[str]) -> None:
    assert spoken(text) == segments
