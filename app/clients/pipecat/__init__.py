"""Services for pipecat (1.14 or later): `pip install tiding[pipecat]`.

    from app.clients.pipecat import TidingLLMService, TidingTTSService

Three speak: `TidingTTSService` over the WebSocket (text streamed in, word times, contexts: the one to begin with),
`TidingAdaptiveTTSService` over HTTP with text streamed in, and `TidingHttpTTSService` a sentence at a time.
`TidingLLMService` has answers written sentence by sentence, and holds the model back while speech is unplayed.
"""

from app.clients.pipecat.adaptive import TidingAdaptiveTTSService
from app.clients.pipecat.http import TidingHttpTTSService
from app.clients.pipecat.llm import TidingLLMService, TidingLLMSettings
from app.clients.pipecat.settings import TidingTTSSettings
from app.clients.pipecat.websocket import TidingTTSService

__all__ = [
    "TidingAdaptiveTTSService",
    "TidingHttpTTSService",
    "TidingLLMService",
    "TidingLLMSettings",
    "TidingTTSService",
    "TidingTTSSettings",
]
