"""A voice as it is listed."""

import msgspec


class ListedVoice(msgspec.Struct, frozen=True):
    """A voice's name, the BCP 47 tag of what it speaks, "female", "male" or "", and other names that it answers to."""

    name: str
    language: str
    gender: str = ""
    aliases: tuple[str, ...] = ()
