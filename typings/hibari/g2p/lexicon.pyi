from collections.abc import Container

_Sound = tuple[str | None, int | None]

class Lexicon:
    golds: Container[str]
    silvers: Container[str]
    def get_NNP(self, word: str) -> _Sound: ...  # noqa: N802
    def stem_s(self, word: str, tag: str, stress: float | None, ctx: None) -> _Sound: ...
    def stem_ed(self, word: str, tag: str, stress: float | None, ctx: None) -> _Sound: ...
    def stem_ing(self, word: str, tag: str, stress: float | None, ctx: None) -> _Sound: ...
