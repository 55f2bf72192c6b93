# What is used here of transformers 5, whose own types are only partly known to a strict checker.
from os import PathLike

class ByT5Tokenizer:
    def save_pretrained(self, save_directory: str | PathLike[str]) -> tuple[str, ...]: ...
