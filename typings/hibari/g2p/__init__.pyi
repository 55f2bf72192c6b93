from collections.abc import Callable

from hibari.g2p.lexicon import Lexicon
from hibari.g2p.token import Tok

class G2P:
    lexicon: Lexicon
    def __init__(self, oov: Callable[[str], str] | None = ..., unk: str = ..., british: bool = ...) -> None: ...
    def tokenize(self, text: str) -> list[Tok]: ...
    def phonemize_tokens(self, tokens: list[Tok]) -> list[Tok]: ...
