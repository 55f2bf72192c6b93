"""Clients for other people's programs: the sockets of both servers, as objects to await. Nothing of the servers is
imported.

    from app.clients import SpeechClient, TextClient

`SpeechClient` speaks through `/ws/tts/stream`, `TextClient` has answers written by the LLM's `/ws`. Both reconnect.
"""

from app.clients.errors import ClientError, Disconnected, Refused
from app.clients.speech import Manner, SpeechClient, SpeechStream
from app.clients.speech_events import Audio, Cancelled, Created, Done, Event, SegmentEnd, Warned, Word, Words
from app.clients.text import Answer, Drawing, Pause, TextClient
from app.clients.text_events import ChunkEnd

__all__ = [
    "Answer",
    "Audio",
    "Cancelled",
    "ChunkEnd",
    "ClientError",
    "Created",
    "Disconnected",
    "Done",
    "Drawing",
    "Event",
    "Manner",
    "Pause",
    "Refused",
    "SegmentEnd",
    "SpeechClient",
    "SpeechStream",
    "TextClient",
    "Warned",
    "Word",
    "Words",
]
