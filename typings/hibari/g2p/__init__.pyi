from collections.abc import Callable

class Tok:
    text: str
    whitespace: str
    phonemes: str | None

class G2P:
    def __init__(self, oov: Callable[[str], str] | None = ..., unk: str = ..., british: bool = ...) -> None: ...
    def tokenize(self, text: str) -> list[Tok]: ...
    def phonemize_tokens(self, tokens: list[Tok]) -> list[Tok]: ...
