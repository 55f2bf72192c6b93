"""Tiding for LiveKit agents (`pip install 'tiding[livekit]'`): plug-ins as an `AgentSession` takes them.

from app.clients.livekit import LLM, TTS

session = AgentSession(llm=LLM("http://localhost:8002"), tts=TTS("http://localhost:8001"), ...)
"""

from app.clients.livekit.llm import LLM
from app.clients.livekit.tts import TTS, Options

__all__ = ["LLM", "TTS", "Options"]
