"""Everything that can go wrong between a text and its speech, as one tree.

    SpeechError
    ├── RequestError            the caller's fault; asking again unchanged fails again
    │   ├── UnknownVoice
    │   ├── UnsupportedLocale
    │   ├── UnspeakableText     nothing in the text can be spoken
    │   ├── TextTooLong
    │   ├── ContextTooLong      a prompt that leaves no room for an answer
    │   └── WrongState          not now: a chunk is being written
    ├── CapacityError           nothing wrong with the request; ask again later
    │   ├── EngineLoading
    │   ├── Draining            no new work: the server is about to end
    │   └── ShareUsedUp         this client has as much as one may have
    ├── SessionClosed           the session was cancelled or is over; not logged as an error
    └── EngineFailure           the device or the weights

    UnusableModel               what a model is made of cannot be used: only whoever starts the server meets it

A class exists only where a caller would act differently. `code` is stable and goes on the wire as it is; `param`
names the field of the request at fault, where there is one.
"""

from collections.abc import Iterable


class SpeechError(Exception):
    """Anything this engine refuses or fails to do. `str()` is fit to be shown to a client."""

    code = "speech_error"
    param: str | None = None


class RequestError(SpeechError):
    """The request cannot be served as it stands."""

    code = "invalid_request"

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param or type(self).param


class UnknownVoice(RequestError):
    """No voice of the loaded model answers to this name."""

    code = "unknown_voice"
    param = "voice"

    def __init__(self, name: str, choices: Iterable[str]) -> None:
        super().__init__(f"unknown voice {name!r}; choose one of: {', '.join(choices)}")


class UnsupportedLocale(RequestError):
    """The loaded model does not speak this language."""

    code = "unsupported_language"
    param = "language"

    def __init__(self, locale: str, choices: Iterable[str]) -> None:
        super().__init__(f"unsupported language {locale!r}; choose one of: {', '.join(choices)}")


class UnspeakableText(RequestError):
    """The text is blank, or holds nothing that the voice can speak."""

    code = "unspeakable_text"
    param = "input"

    def __init__(self) -> None:
        super().__init__("the text holds nothing that can be spoken: expected at least one letter or digit of a "
                         "script that the voice knows")  # fmt: skip


class TextTooLong(RequestError):
    """The text is longer than one session accepts."""

    code = "text_too_long"
    param = "input"

    def __init__(self, num_chars: int, max_chars: int) -> None:
        super().__init__(f"the text is too long: {num_chars} characters, at most {max_chars} are accepted")


class ContextTooLong(RequestError):
    """The prompt is longer than the model can read, or leaves no room for an answer."""

    code = "context_length_exceeded"
    param = "messages"

    def __init__(self, num_tokens: int, context_length: int) -> None:
        super().__init__(
            f"the messages are too long: {num_tokens} tokens and at least 1 for the answer, of {context_length} that "
            "the context holds"
        )


class WrongState(RequestError):
    """The session is busy with what was asked of it before."""

    code = "wrong_state"


class CapacityError(SpeechError):
    """No room now. `retry_after_s` is a hint in seconds."""

    code = "at_capacity"

    def __init__(self, message: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class EngineLoading(CapacityError):
    """The model is not warm yet."""

    code = "loading"

    def __init__(self) -> None:
        super().__init__("the model is still loading; try again in a moment")


class Draining(CapacityError):
    """What runs is finished; nothing new is begun."""

    code = "draining"

    def __init__(self) -> None:
        super().__init__("the server is about to end and takes nothing new; ask another one")


class ShareUsedUp(CapacityError):
    """There may be room, but not for one more session of this client."""

    code = "share_used_up"

    def __init__(self, most: int, noun: str = "sessions") -> None:
        super().__init__(f"this client has {most} {noun} open, the most that one client may have")


class SessionClosed(SpeechError):
    """The session was cancelled, or text came after `finish()`."""

    code = "session_closed"


class EngineFailure(SpeechError):
    """The device or the weights failed; details are in the server's log, not in this message."""

    code = "engine_failure"


class UnusableModel(Exception):
    """A model cannot be loaded from what there is. The message says what is wrong with that, and is all there is to
    know: no traceback would add to it, and to try again would not help.
    """
