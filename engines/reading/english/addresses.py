"""Addresses of the network, and names of files and tags: what stands between their words is said."""

import re
from typing import Final

from engines.abbreviations import words
from engines.reading.english.letters import spelled
from engines.reading.english.numbers import cardinal, code
from engines.reading.number_words import digits
from engines.reading.rules import INNER_DOT, needing, numeric, rule

_MARKS: Final = {
    **{".": "dot", "@": "at", "_": "underscore", "-": "dash", "+": "plus", "/": "slash", "\\": "backslash"},
    **{":": "colon", "~": "tilde", "%": "percent", "=": "equals", "&": "and", "?": "question mark", "#": "hash"},
}
_SAID: Final = words("""
    env wav com org net edu gov info biz app dev mil xyz shop blog cloud co py pdf jar zip bin log tar bat lock sub toml
""")
"""Domains and endings of file names that are words to those who say them; others of up to four letters are spelled."""

_DOMAINS: Final = (
    "com|org|net|edu|gov|info|biz|app|dev|io|ai|co|uk|us|eu|de|fr|es|it|vn|ca|au|nz|in|jp|cn|ru|br|ch|nl|se|me|tv|xyz|"
    "shop|blog|cloud|tech|online|site|ly|gg|fm|to|sh"
)
_BARE_DOMAINS: Final = "com|org|net|edu|gov|io|ai|dev|app|co\\.uk|co|uk|de|fr|eu|tv|xyz|ly|gg|ca|info|biz"
_ENDINGS: Final = (
    "py|js|ts|tsx|jsx|md|txt|pdf|html|css|json|yaml|yml|csv|exe|zip|png|jpg|jpeg|gif|svg|webp|mp3|mp4|wav|flac|mov|avi|"
    "doc|docx|xls|xlsx|ppt|pptx|sh|rs|go|java|cpp|hpp|rb|php|toml|xml|sql|log|cfg|ini|env|lock|bat|ipynb|onnx|tar|gz|jar"
)
_LABEL: Final = r"[A-Za-z0-9](?:[\w-]{0,40}[A-Za-z0-9])?"
_MAX_PARTS: Final = 5
"""Of a path that is read; few listeners remember more."""

_MAX_QUERY_CHARS: Final = 20
_MAX_PART_CHARS: Final = 40
_TOKEN = re.compile(r"[^\W\d_]+|\d+|[^\w\s]|_")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_SCHEME = re.compile(r"^[a-z]{2,6}://(?:www\.)?|^www\.|^mailto:", re.IGNORECASE)


def _said(text: str) -> str:
    """Letters as words, digits as short numbers, marks by name."""
    return " ".join(filter(None, map(_token, _TOKEN.findall(text))))


def _token(token: str) -> str:
    if token.isdecimal():
        return code(token) if len(token) < 3 else digits(token, "en")
    if token.isalpha():
        return spelled(token) if len(token) == 1 else _CAMEL.sub(" ", token)
    return _MARKS.get(token, "")


def _ending(text: str) -> str:
    """What stands behind a dot."""
    is_spelled = text.lower() not in _SAID and len(text) <= 4 and text not in ("json", "yaml", "java", "html5")
    return " ".join(
        _said(part) if part.isdecimal() or not is_spelled else spelled(part)
        for part in re.findall(r"\d|[A-Za-z]+", text)
    )


def _host(text: str) -> str:
    """example.co.uk, localhost:8000."""
    name, colon, port = text.partition(":")
    *labels, last = name.split(".")
    words = " dot ".join(
        [*map(_said, labels), spelled(last) if labels and len(last) == 2 and last not in _SAID else _said(last)]
    )
    return f"{words} colon {code(port)}" if colon else words


def _file(text: str) -> str:
    stem, _, ending = text.rpartition(".")
    return f"{_said(stem)} dot {_ending(ending)}".strip()


def _path(text: str) -> str:
    """Parts with their slashes; only the first few of many, and none of what nobody could write down."""
    parts = [part for part in re.split(r"[/\\]", text) if part]
    mark = _MARKS["\\" if "\\" in text else "/"]
    words: list[str] = []
    for part in parts[:_MAX_PARTS]:
        if len(part) > _MAX_PART_CHARS:
            break
        words.append(_file(part) if re.search(rf"\w\.(?:{_ENDINGS})$", part) else _said(part))
    said = f" {mark} ".join(words)
    return said if len(words) == len(parts) else f"{said} {mark} and so on".strip()


def _web(match: re.Match[str]) -> str:
    """https://www.example.com/docs?page=2#top: without what a browser adds by itself."""
    rest = _SCHEME.sub("", match[0])
    address, _, _ = rest.partition("#")
    address, mark, query = address.partition("?")
    host, slash, path = address.partition("/")
    words = _host(host)
    if path.strip("/"):
        words += f" slash {_path(path)}"
    elif slash and mark:
        words += " slash"
    if query:
        words += f" question mark {_said(query)}" if len(query) <= _MAX_QUERY_CHARS else ", and so on"
    return words


def _mail(match: re.Match[str]) -> str:
    name, _, host = match[0].partition("@")
    return f"{_said(name)} at {_host(host)}"


def _handle(match: re.Match[str]) -> str:
    return f"at {_said(match[0][1:])}"


def _hashtag(match: re.Match[str]) -> str:
    """#OpenSource; but an order #A1B2."""
    name = match[0][1:]
    is_number = name.isupper() and any(map(str.isdecimal, name))
    return f"{'number' if is_number else 'hashtag'} {_said(name)}"


def _rooted(match: re.Match[str]) -> str:
    """/usr/local/bin, ~/notes, ./run.sh, C:\\Users."""
    text = match[0]
    front, _, rest = re.sub(r"\\", "/", text).partition("/")
    mark = "backslash" if "\\" in text else "slash"
    return f"{_said(front)} {mark} {_path(rest.replace('/', chr(92)) if mark == 'backslash' else rest)}".strip()


def _octets(match: re.Match[str]) -> str | None:
    """192.168.0.1, 10.0.0.0/8, 127.0.0.1:8000."""
    octets = [
        digits(part, "en") if len(part) == 3 else cardinal(int(part), "en") for part in match["octets"].split(".")
    ]
    words = " dot ".join(octets)
    if match["port"]:
        words += f" colon {code(match['port'])}"
    return f"{words} slash {cardinal(int(match['mask']), 'en')}" if match["mask"] else words


_PART: Final = r"[\w.~%@+=-]{1,60}"
_QUERY: Final = r"(?:\?[\w.~%@+=&;:/,-]{1,400}(?<![.,;:]))?(?:#[\w.~%=&/!-]{0,100}(?<![.,;:!]))?"
_TAIL: Final = rf"(?:/[\w.~%@+=:,()$!*'-]{{0,200}}(?<![.,;:!')])){{0,20}}/?{_QUERY}"
_HOST: Final = rf"{_LABEL}(?:\.{_LABEL}){{0,5}}(?::\d{{2,5}})?"

RULES: Final = (
    *needing("@", rule(rf"(?<!\w)[\w.%+-]{{1,64}}@{_LABEL}(?:\.{_LABEL}){{1,4}}(?!\w)", _mail)),
    *needing(
        ("/", INNER_DOT),
        rule(rf"(?<!\w)(?:[A-Za-z]{{2,6}}://|[Ww]{{3}}\.){_HOST}{_TAIL}", _web),
        rule(rf"(?<![\w@.])(?:{_LABEL}\.){{1,4}}(?:{_BARE_DOMAINS})(?::\d{{2,5}})?(?![\w@-])(?!\.\w){_TAIL}", _web),
    ),
    rule(rf"(?<![\w@.])localhost(?::\d{{2,5}})?(?![\w@.-]){_TAIL}", _web),
    *numeric(
        rule(
            r"(?<![\w.])(?P<octets>\d{1,3}(?:\.\d{1,3}){3})(?::(?P<port>\d{2,5}))?(?:/(?P<mask>\d{1,2}))?(?![\w/]|\.\d)",
            _octets,
        )
    ),
    *needing(
        "/\\",
        rule(
            rf"(?<![\w/.])(?:~|\.{{1,2}}|[A-Za-z]:)?[/\\]{_PART}(?:[/\\]{_PART}){{0,12}}(?<![.,])(?<=\w)[/\\]?",
            _rooted,
        ),
        rule(rf"(?<![\w/.@])(?:{_PART}/){{1,8}}[\w-]{{1,60}}\.(?:{_ENDINGS})(?!\w)", lambda match: _path(match[0])),
    ),
    *needing(
        (INNER_DOT,),
        rule(
            rf"(?<![\w/.@])[A-Za-z_][\w-]{{0,60}}(?:\.[\w-]{{1,40}}){{0,3}}\.(?:{_ENDINGS})(?![\w-])(?!\.\w)",
            lambda m: _file(m[0]),
        ),
        rule(rf"(?<![\w.])\.(?:env|gitignore|bashrc|{_ENDINGS})(?!\w)", lambda match: f"dot {_ending(match[0][1:])}"),
    ),
    *needing("@", rule(r"(?<![\w@])@[A-Za-z_](?:[\w.]{0,40}\w)?", _handle)),
    *needing(
        "#",
        rule(r"(?<![\w#&])#(?=[A-Z]{1,5}-\d)", "number"),
        rule(r"(?<![\w#&])#(?=\w{0,60}[A-Za-z])\w{1,60}", _hashtag),
    ),
)
