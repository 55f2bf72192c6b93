LANGUAGE_TOKENIZER_MAP: dict[str, list[str]]
