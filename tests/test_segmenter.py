"""Cases are written as one text with "|" where it is cut."""

import sys
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.segmenter import LOOKAHEAD, Segmenter, Verdict, sentence_end
from engines.types import Boundary, Granularity, Segment

ENGLISH = r"""
Hello there. |How are you? |Fine!
One.
No full stop at the end
First. second, no, lower case goes on.
It works! |Does it? |Yes.
It works! |and UAX 29 ends it here.
Really?! |You mean it?
Stop!!! |Now.
What?? |Nothing.
Dr. Smith is in.
Mr. and Mrs. Brown left. |They were late.
Ask Prof. Higgins about it. |He knows.
DR. SMITH IS IN. |WAIT.
St. Louis is hot. |Paris is not.
He lives on Main St. |The house is red.
She moved to Elm St. Louis followed.
Use salt, pepper, etc. |Then stir.
Use salt, pepper, etc. and stir.
Acme Inc. |The firm is old.
Acme Inc. Chairman Bob spoke.
Bob Jr. |He is tall.
Fruit, e.g. Apples, is good.
Fruit, e.g. apples, is good. |I agree.
The last one, i.e. Monday, is free.
Cats vs. Dogs is a film. |It is old.
See Fig. 3 for more. |It helps.
See No. 5 for more. |It helps.
Is it open? |No. |It is closed.
No. |I don't think so.
Pages pp. 5 to 9 are gone.
It takes approx. ten minutes. |Wait here.
On Jan. 5 we met. |It rained.
On Jan. Fifth we met.
It was Sat. |We slept.
The cat sat. |Dogs ran.
That was an old art. |Painting is new.
He has a Ph.D. |He is proud.
He has a Ph.D. in physics.
I live in the U.S. |It is large.
The U.S. President spoke. |People listened.
U.S. troops left. |The war ended.
Made in the U.S.A. |We like it.
Be there at 5:30 p.m. today.
Be there at 5:30 p.m. |We start then.
Be there at 9 a.m. Monday. |Thanks.
J. K. Rowling wrote it. |It sold.
George W. Bush spoke. |We listened.
J.R.R. Tolkien wrote it. |It sold.
Take vitamin C. |It helps.
This is plan B. |We need it.
Press Ctrl+C. |Nothing happens.
So do I. |The others don't.
Pi is 3.14 or so. |Roughly.
Pi is 3.14. |Roughly.
Use version 1.2.3 of it. |It works.
It costs $3.50. |That is cheap.
It costs $5. |That is cheap.
I have 3. |You have 4.
There are 12. |Seven are red.
It was 1999. |We danced.
1. Open the door. |2. Close it.
Steps: 1. Open the door. |2. Close it.
3. Item three
(2) Second thing. |Done.
Visit example.com. |Then call.
Visit example.com for more.
See https://example.com/a.b?c=d.e&f=g. |Then call.
See http://x.org/a?b=c. and go.
Write to jo.do@mail.example.org. |Thanks.
Open main.py. |Then run it.
Open main.py and README.md now.
Node.js is fast. |So is .NET here.
Use .NET. |Use ASP.NET too.
I use Covid-19. |Data is fine.
Wait... What?
I was there... |Then we left.
Well... and then he left.
Well… Hm, I never knew that… |Now I do.
"Stop!" he said.
"Stop!" |She left.
"Go." |"No."
"Go," he said. |"No."
“Are you sure?” she asked. |“Yes.”
“I am.” |Then he left.
‘Fine.’ |He sat.
He said "stop." |Then he left.
(It was late.) |We left.
It was late (really?) and we left.
It was late (see Fig. 3). |We left.
He (the U.S. President) spoke.
[Note.] |Done.
**Bold.** |Plain.
*Wow!* that was it.
iPhone is here. |iPads too.
I like it. |iPhone works.
Is it 5? |6 is better.
He came. |"Hi," he said.
He came. |(She did not.)
He came. |- she did not.
He came.  |  She   did not.
What a day, wow! |...and so on.
Hi! |😀 Bye.
Great!|😊 Next one.
Yes. |- No.
A. B. Smith is here. |He waits.
Is this U.S.? |Yes.
She said hello.Then left.
One sentence without end, but, with, commas
The end
He said: "It is 5 p.m." |Then he left.
He scored 3.5 vs. 4.5 in 2. |5 people saw it.
Lt. Col. Jones and Gen. Lee met. |They spoke.
The next gen. |Sony made it.
Mt. Everest is high. |Ft. Knox is not.
It took 5 ms. |The rest took 6.
Turn to Ch. 3 now. |Read it.
It was on Dec. 24. |People sang.
See Fig. 3. |It helps.
See No. 5. |It helps.
From Jan. to Mar. we ski. |Then not.
Vol. II is out. |Vol. 3 is not.
He met Sen. Smith. |Rep. Jones came.
Rock, paper et al. |They won.
Add 3 oz. |Then add milk.
Rated 4.5/5. |Good.
The I.R.S. |It taxes.
Yes/no. |Maybe.
It's John's. |He's here.
Don't! |Won't.
50%. |60%.
C# 8.0. |Good.
Hello.) |There.
- |So it goes.
""".strip().splitlines()

LINES = [
    ("Title\n\n|Body text.", "paragraph"),
    ("One.\n\n|Two.", "paragraph"),
    ("no full stop\n\n|lower case", "paragraph"),
    ("One.\r\n\r\n|Two.", "paragraph"),
    ("Dr.\n\n|Smith", "paragraph"),
    ("One.\n|Two.", "sentence"),
    ("- apples\n|- pears", "sentence"),
    ("* apples\n|* pears\n|* figs", "sentence"),
    ("1. Wash\n|2. Dry\n|3. Fold", "sentence"),
    ("Here is a list:\n|- apples", "sentence"),
    ("Shopping\n|Milk", "sentence"),
    ("# Heading\n|Text follows.", "sentence"),
    ("a line that was wrapped\nin lower case", None),
    ("a long line of prose, wrapped by an editor at a column before\nLondon came up", None),
    ("We met Mr.\nSmith", None),
    ("Dear John,\nThank you", None),
    ('"Stop!"\nhe said', None),
]

OTHERS = r"""
Am 3. Oktober war es kalt. |Danach nicht.
Im 19. Jahrhundert gab es das. |Heute nicht.
Auf dem 3. Rang. |Das war gut.
Der 2. Versuch gelang.
Ich habe 3. |Dann kam er.
Es kostet z. B. Geld. |Das ist viel.
Das sind z.B. Äpfel. |Sie sind rot.
Fr. Müller und Hr. Meier, bzw. Dr. Weiß. |Gut.
Äpfel, Birnen usw. |Danach Kuchen.
Er sagte: „Komm her!“ |Dann ging er.
„Komm!“, rief er. |„Nein.“
»Komm!« rief sie. |Er kam. |»Gut.«
Der 3. 10. 2024 war frei. |Schön.
El Sr. Pérez vive en Av. Colón. |Es alto.
¿Qué tal? |¡Muy bien! |Gracias.
¡Hola! |¿cómo estás?
Vive en EE. UU. |Es grande.
La Dra. Ruiz y Ud. van. |Bien.
M. Dupont est là. |Il parle.
M. Le Pen parle. |Mme. Curie aussi.
« Arrête ! » dit-il. |Il part.
Vraiment ? ! |Oui.
Il vient, p.ex. Lundi. |Bon.
Il Sig. Rossi e il Dott. Bianchi. |Buono.
Pane, vino ecc. |Poi dolci.
C'è. |Perché? |Non so.
«Стой!» — сказал он. |Он ушёл.
你好。|我是小明。|今天好吗？|好！
他说。|“你好。”她说。
「はい。」と言った。|次です。
「はい。」|「いいえ。」
你好!|再见.
安녕하세요. |반갑습니다.
真的吗？！|是的。
""".strip().splitlines()

CLAUSES = r"""
Well, that is the whole point, |and you know it.
No, not that one.
It costs 1,000,000 dollars there, |or 2,000.
We meet at 10:30, 11:45 and 12:00.
Here is the thing: |it works; mostly it does.
The old house — |the red one — |is gone.
It was the end—|nobody knew.
The pages 10–20 are gone from here.
It was on May 5, 2024 that it came.
See https://a.b/c,d;e:f?g=h for this thing.
“Well, my friend,” |he said.
i went home early. |then i slept.
It was late... |and we left.
The dog that lives in the old house at the end of the road ran away |because it was hungry.
今天天气真的很好，|我们去公园玩吧。
是的，我知道。
""".strip().splitlines()

WORDS = r"""
Hello |world.
Hello ,| world
One |- two| (three)
Bonjour !| Oui
Dr. |Smith |left.
今天天气|真的很好，|走吧
... well
""".strip().splitlines()

GRANULARITIES: list[Sequence[Granularity]] = [
    ["word"],
    ["clause"],
    ["sentence"],
    ["clause", "sentence"],
    ["word", "clause", "sentence", "word"],
]


def drain(segmenter: Segmenter, grains: Sequence[Granularity], found: list[Segment], *, is_final: bool = False) -> None:
    while True:
        grain = grains[min(len(found), len(grains) - 1)]
        segment = segmenter.next(grain, is_final=is_final)
        if segment is None:
            return
        found.append(segment)


def cut(pushes: Sequence[str], grains: Sequence[Granularity] = ("sentence",), *, max_chars: int = 240) -> list[Segment]:
    segmenter = Segmenter(max_chars=max_chars)
    found: list[Segment] = []
    for text in pushes:
        segmenter.push(text)
        drain(segmenter, grains, found)
    drain(segmenter, grains, found, is_final=True)
    assert segmenter.pending == ""
    return found


def assert_cut(case: str, grain: Granularity) -> None:
    expected = [piece.strip() for piece in case.split("|")]
    expected = [piece for piece in expected if any(map(str.isalnum, piece))]
    text = case.replace("|", "")
    if expected[0] != case.split("|")[0].strip():  # silent text in front goes with what follows
        expected[0] = text[: text.index(expected[0]) + len(expected[0])].strip()
    assert [segment.text for segment in cut([text], [grain])] == expected
    assert [segment.text for segment in cut(list(text), [grain])] == expected


@pytest.mark.parametrize("case", ENGLISH)
def test_english_is_cut_at_sentence_ends(case: str) -> None:
    assert_cut(case, "sentence")


@pytest.mark.parametrize("case", OTHERS)
def test_other_languages_are_cut_at_sentence_ends(case: str) -> None:
    assert_cut(case, "sentence")


@pytest.mark.parametrize("case", CLAUSES)
def test_clauses_are_cut_when_they_are_long_enough(case: str) -> None:
    assert_cut(case, "clause")


@pytest.mark.parametrize("case", WORDS)
def test_words_keep_their_punctuation(case: str) -> None:
    assert_cut(case, "word")


@pytest.mark.parametrize(("case", "boundary"), LINES)
def test_lines_end_where_lists_headings_and_paragraphs_do(case: str, boundary: str | None) -> None:
    assert_cut(case, "sentence")
    if boundary is not None:
        assert cut([case.replace("|", "")])[0].boundary is Boundary(boundary)


@pytest.mark.parametrize(
    ("text", "grain", "boundary"),
    [
        ("Hello there.", "sentence", Boundary.SENTENCE),
        ("Hello.\n\n", "sentence", Boundary.PARAGRAPH),
        ("Well, my dear friend, no.", "clause", Boundary.CLAUSE),
        ("Hello there,", "sentence", Boundary.CLAUSE),
        ("Hello there", "sentence", Boundary.NONE),
        ("Hello there.", "word", Boundary.NONE),
        ("Well, no", "word", Boundary.CLAUSE),
        ("你好。 \n\n好", "sentence", Boundary.PARAGRAPH),
    ],
)
def test_boundary_tells_what_stands_at_the_cut(text: str, grain: Granularity, boundary: Boundary) -> None:
    assert cut([text], [grain])[0].boundary is boundary


OPEN_ENDS = ["3.", "Dr.", "U.S.", "word.", "word. ", "Wow!", "Wow! ", "U.S. Th", "3. Ok", '"Go."', "a line\n"]
OPEN_ENDS += ["a line\n1", "你好。", "p.m. ", "Well...", "Jan. "]


@pytest.mark.parametrize("text", OPEN_ENDS)
def test_an_open_end_needs_more(text: str) -> None:
    segmenter = Segmenter()
    segmenter.push(text)
    assert segmenter.next() is None
    assert segmenter.pending == text


@pytest.mark.parametrize(
    ("text", "index", "verdict"),
    [
        ("word. T", 5, Verdict.END),
        ("word. (", 5, Verdict.END),
        ("word. t", 5, Verdict.NEED_MORE),
        ("word. th", 5, Verdict.NOT_END),
        ("word. iP", 5, Verdict.END),
        ("Wow! T", 4, Verdict.END),
        ("你好。我", 3, Verdict.END),
        ("U.S. Pr", 4, Verdict.NOT_END),
        ("U.S. The ", 4, Verdict.END),
        ("Dr. The ", 3, Verdict.NOT_END),
        ("line\n\n", 5, Verdict.END),
        ("line\n\n", 6, Verdict.END),
        ("word", 4, Verdict.NOT_END),
        ("word. ", 6, Verdict.NOT_END),
        ("", 0, Verdict.NOT_END),
        ("3.1", 2, Verdict.NOT_END),
        ("What?!", 5, Verdict.NOT_END),
    ],
)
def test_a_verdict_comes_as_soon_as_it_is_safe(text: str, index: int, verdict: Verdict) -> None:
    assert sentence_end(text, index) is verdict


def test_is_final_decides_everything() -> None:
    for text in ["3.", "Dr.", "U.S.", "word.", "Wow!", "line\n", "你好。", "Well..."]:
        assert sentence_end(text, len(text), is_final=True) is Verdict.END


def test_a_long_sentence_is_cut_at_the_last_clause_that_fits() -> None:
    text = "one two three four, five six seven eight, nine ten eleven twelve thirteen"
    assert cut([text], max_chars=50)[0].text == "one two three four, five six seven eight,"


def test_long_text_without_punctuation_is_cut_at_white_space() -> None:
    found = cut(["word " * 100], max_chars=32)
    assert {s.text for s in found[:-1]} == {"word word word word word word"}
    assert found[0].boundary is Boundary.NONE


def test_one_endless_word_is_cut_hard() -> None:
    assert [len(s.text) for s in cut(["a" * 1000])] == [240, 240, 240, 240, 40]


@pytest.mark.parametrize("cluster", ["e\u0301\u0323", "한", "\ud83d\ude00a", "क्षि"])
def test_a_hard_cut_parts_no_character_from_its_marks(cluster: str) -> None:
    for max_chars in range(len(cluster), 3 * len(cluster)):
        for segment in cut([cluster * 30], max_chars=max_chars):
            assert segment.text[0] not in "\u0301\u0323\ude00ᅡᆫ\u094d\u093f"


def test_a_flag_is_not_torn() -> None:
    for segment in cut(["a" + "🇩🇪" * 5 + "b"], max_chars=4):
        assert len(segment.text.strip("ab")) % 2 == 0


def test_silent_text_makes_no_segment() -> None:
    assert cut(["... — 😀 !!! \n\n ***"]) == []
    assert [s.text for s in cut(["😀 ... Hello. 😀"])] == ["😀 ... Hello."]


def test_endless_silent_text_is_not_kept() -> None:
    segmenter = Segmenter(max_chars=100)
    for _ in range(50):
        segmenter.push("— . " * 25)
        assert segmenter.next() is None
        assert len(segmenter.pending) <= 100 + LOOKAHEAD + 100


def test_positions_count_from_start_and_over_everything_pushed() -> None:
    segmenter = Segmenter(start=100)
    segmenter.push("One. Two")
    assert segmenter.next() == Segment(text="One.", start=100)
    segmenter.push(". ")
    assert segmenter.next(is_final=True) == Segment(text="Two.", start=105)
    segmenter.push("Three.")
    assert segmenter.next(is_final=True) == Segment(text="Three.", start=110)
    assert segmenter.position == 116


def test_granularity_may_change_while_text_waits() -> None:
    segmenter = Segmenter()
    segmenter.push("Hello, my dear friend, how are you")
    assert segmenter.next("sentence") is None
    first = segmenter.next("clause")
    assert first is not None
    assert first.text == "Hello, my dear friend,"
    assert segmenter.next("sentence") is None
    second = segmenter.next("word")
    assert second is not None
    assert second.text == "how"


def test_max_chars_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="expected at least 1"):
        Segmenter(max_chars=0)


PIECES = [
    *('aBI 3.!?…,;:—–-"”“»«)(*\n。！，」你好えー\u0301\u200d\U0001f1e9' + chr(0xD83D) + chr(0xDE00)),
    *(
        "Dr.",
        "U.S.",
        "e.g.",
        "etc.",
        "No.",
        "p.m.",
        "The ",
        "3. ",
        "Oktober",
        "Hello world",
        "example.com",
        " and ",
    ),
    *(
        "iPhone",
        "\n- ",
        "\n2. ",
        "\n\n",
        " " * 9,
        "...",
        "abcdefghijklmnopqrstuvwxyz",
        "He said, ",
        "因为今天",
    ),
]
TEXTS = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=80).map("".join),
    st.lists(st.sampled_from([case.replace("|", "") for case in ENGLISH + OTHERS]), max_size=6).map(" ".join),
    st.text(max_size=60),
)


@settings(max_examples=120)
@given(TEXTS, st.sampled_from(GRANULARITIES), st.sampled_from([1, 7, 40, 240]), st.randoms(use_true_random=False))
def test_any_split_gives_the_same_segments_as_the_whole(text, grains, max_chars, random) -> None:
    whole = cut([text], grains, max_chars=max_chars)
    places = sorted(random.choices(range(len(text) + 1), k=random.randrange(6)))
    split = [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]
    assert cut(split, grains, max_chars=max_chars) == whole
    assert cut(list(text), grains, max_chars=max_chars) == whole


@settings(max_examples=120)
@given(TEXTS, st.sampled_from(GRANULARITIES), st.sampled_from([1, 7, 40, 240]))
def test_segments_hold_all_speech_once_verbatim_and_bounded(text, grains, max_chars) -> None:
    end = 0
    for segment in cut([text], grains, max_chars=max_chars):
        assert segment.start >= end
        assert text[segment.start : segment.end] == segment.text == segment.text.strip()
        assert any(map(str.isalnum, segment.text))
        assert len(segment.text) <= max_chars
        assert not any(map(str.isalnum, text[end : segment.start]))
        end = segment.end
    assert not any(map(str.isalnum, text[end:]))


@settings(max_examples=120)
@given(TEXTS, st.data())
def test_a_verdict_never_changes_and_is_there_within_the_lookahead(text, data) -> None:
    index = data.draw(st.integers(0, len(text)))
    ends = range(index, min(len(text), index + LOOKAHEAD + 8) + 1)
    verdicts = [sentence_end(text[:end], index) for end in ends]
    decided = [verdict for verdict in verdicts if verdict is not Verdict.NEED_MORE]
    assert verdicts == [Verdict.NEED_MORE] * (len(verdicts) - len(decided)) + decided
    assert len(set(decided)) <= 1
    assert Verdict.NEED_MORE not in verdicts[LOOKAHEAD:]
    assert sentence_end(text, index, is_final=True) is (decided[-1] if decided else Verdict.END)


def num_calls(text: str, grain: Granularity) -> int:
    """Python calls made while the text is pushed character by character."""
    count = 0

    def profile(_frame: object, event: str, _arg: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        cut(list(text), [grain])
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.slow
@pytest.mark.parametrize("grain", ["word", "clause", "sentence"])
@pytest.mark.parametrize("piece", ["The cat, which was 3.5 years old, saw Mr. Smith. ", "a", "...", "a, ", "你好", " "])
def test_work_grows_with_the_text_and_no_faster(piece: str, grain: Granularity) -> None:
    num_short, num_long = (num_calls(piece * (n // len(piece)), grain) for n in (2_000, 8_000))
    assert num_long < 5 * num_short
    assert num_long < 150 * 8_000


def test_a_hundred_thousand_characters_one_by_one_leave_nothing_behind() -> None:
    text = "Some people, they say, never sleep. " * 2_800
    found = cut(list(text))
    assert len(found) == 2_800
    assert found[-1].end == len(text) - 1
