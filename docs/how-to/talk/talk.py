"""Ask, and hear the answer while it is being written: `python talk.py "Why is the sky blue?" -o answer.wav`.

Two sockets: the tokens of one go straight to the other. The LLM writes sentence by sentence and is held while enough
speech is waiting to be played; `--barge-in 2` interrupts both after two seconds of sound.
"""

import argparse
import asyncio
import time
import wave
from array import array
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.clients import Answer, Audio, Pause, SpeechClient, SpeechStream, TextClient, Words

LLM_URL = "http://localhost:8002"
SPEECH_URL = "http://localhost:8001"
RATE_HZ = 22_050
AUDIBLE = 300  # of 32 767: what is quieter is silence
CHAR_S = 0.065  # of speech, for a character that has not been spoken yet


@dataclass
class Timeline:
    """What happened when, in seconds from the question; None: never."""

    first_token_s: float | None = None
    first_sentence_s: float | None = None
    first_sound_s: float | None = None
    holds: list[tuple[float, float]] = field(default_factory=list)  # the LLM was held from, to
    interrupted_s: float | None = None
    silent_s: float | None = None  # both servers had confirmed the interruption
    written: str = ""
    heard: str = ""
    audio_s: float = 0.0
    total_s: float = 0.0

    def lines(self) -> list[str]:
        moments = [
            ("first token", self.first_token_s),
            ("first sentence", self.first_sentence_s),
            ("first sound", self.first_sound_s),
            *((f"held for {end - start:.2f} s", start) for start, end in self.holds),
            ("interrupted", self.interrupted_s),
            ("both silent", self.silent_s),
            (f"all of it: {self.audio_s:.2f} s of speech", self.total_s),
        ]
        told = sorted((when, what) for what, when in moments if when is not None)
        return [f"{when:7.3f} s  {what}" for when, what in told]


class Speaker:
    """A loudspeaker's clock: how much sound has come, and how much is still to be played."""

    def __init__(self) -> None:
        self.pcm = bytearray()
        self.num_chars_sent = self.num_chars_come = 0  # of the text: to be spoken, and here as sound
        self.first_sound_at: float | None = None  # an audible sample: leading silence is not one
        self._ends_at = 0.0  # when all of it will have been played
        self._progress = asyncio.Event()

    def play(self, pcm: bytes) -> None:
        now = time.monotonic()
        self.pcm += pcm
        self._ends_at = max(self._ends_at, now) + len(pcm) / 2 / RATE_HZ
        if self.first_sound_at is None and max(map(abs, array("h", pcm)), default=0) > AUDIBLE:
            self.first_sound_at = now
        self._progress.set()

    @property
    def unplayed_s(self) -> float:
        """What is here and has not been played, and about what is on its way."""
        here_s = max(0.0, self._ends_at - time.monotonic())
        return here_s + CHAR_S * (self.num_chars_sent - self.num_chars_come)

    async def until_below(self, limit_s: float) -> None:
        """Return when no more than this is waiting to be played."""
        while True:
            above_s = self.unplayed_s - limit_s
            if above_s <= 0:
                return
            await asyncio.sleep(min(above_s, 0.1))

    async def until_heard(self, seconds: float) -> None:
        """Return when so much has been played since the first sound."""
        while self.first_sound_at is None:
            self._progress.clear()
            await self._progress.wait()
        await asyncio.sleep(max(0.0, self.first_sound_at + seconds - time.monotonic()))


class Talk:
    """One question to two servers, whose clients can be used again afterwards."""

    def __init__(self, llm: TextClient, speech: SpeechClient, *, ahead_s: float = 3.0) -> None:
        self.speaker = Speaker()
        self.timeline = Timeline()
        self._llm, self._speech = llm, speech
        self._ahead_s = ahead_s
        self._asked_at = 0.0

    async def ask(self, question: str, *, barge_in_s: float | None = None, **options: Any) -> Timeline:
        """Let the answer be written and spoken. `options` go to the LLM: `seed`, `temperature`, ..."""
        self._asked_at = time.monotonic()
        messages = [{"role": "user", "content": question}]
        async with (
            self._llm.answer(messages, Pause(at_sentence=True), **options) as answer,
            self._speech.stream(sample_rate=RATE_HZ, word_timestamps=True) as stream,
            asyncio.TaskGroup() as both,
        ):
            writing = both.create_task(self._write(answer, stream))
            interrupting = both.create_task(self._interrupt(barge_in_s, answer, stream))
            await self._listen(stream)
            if self.timeline.interrupted_s is None:
                interrupting.cancel()  # nobody wants to, or the answer was shorter
            writing.cancel()  # held for sound that does not come any more
        self.timeline.total_s = self._now()
        self.timeline.audio_s = len(self.speaker.pcm) / 2 / RATE_HZ
        if self.speaker.first_sound_at is not None:
            self.timeline.first_sound_s = self.speaker.first_sound_at - self._asked_at
        return self.timeline

    async def _write(self, answer: Answer, stream: SpeechStream) -> None:
        """Pass on what is written, until all is or the answer is interrupted."""
        while not answer.is_done and not answer.is_over:
            await self._hold()
            async for token in answer.chunk():
                if self.timeline.first_token_s is None:
                    self.timeline.first_token_s = self._now()
                self.timeline.written = answer.text
                self.speaker.num_chars_sent = len(answer.text)
                await stream.say(token)
            if self.timeline.first_sentence_s is None:
                self.timeline.first_sentence_s = self._now()
            await stream.flush()  # a sentence is whole: nothing needs to be waited for
        await stream.close()

    async def _hold(self) -> None:
        """While enough speech is waiting, the LLM's loop does not step: that is all that a pause is."""
        if self.speaker.unplayed_s > self._ahead_s:
            start = self._now()
            await self.speaker.until_below(self._ahead_s)
            self.timeline.holds.append((start, self._now()))

    async def _listen(self, stream: SpeechStream) -> None:
        async for event in stream:
            if isinstance(event, Audio):
                self.speaker.play(event.data)
            elif isinstance(event, Words):
                self.speaker.num_chars_come = event.words[-1].char_end
        if self.timeline.interrupted_s is None:
            self.timeline.heard = self.timeline.written

    async def _interrupt(self, after_s: float | None, answer: Answer, stream: SpeechStream) -> None:
        """A barge-in: nobody writes or speaks on, and what was heard is known to the word."""
        if after_s is None:
            return
        await self.speaker.until_heard(after_s)
        self.timeline.interrupted_s = self._now()
        cancelled, _ = await asyncio.gather(stream.cancel(), answer.cancel())
        self.timeline.heard = cancelled.text_spoken
        self.timeline.silent_s = self._now()

    def _now(self) -> float:
        return time.monotonic() - self._asked_at


def save(pcm: bytes, path: Path) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(pcm)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("question", nargs="?", default="Why is the sky blue? Answer in three sentences.")
    parser.add_argument("-o", "--output", type=Path, default=Path("answer.wav"))
    parser.add_argument("--ahead", type=float, default=3.0, help="seconds of unplayed speech that hold the LLM")
    parser.add_argument("--barge-in", type=float, help="interrupt after so many seconds of sound")
    parser.add_argument("--llm", default=LLM_URL)
    parser.add_argument("--speech", default=SPEECH_URL)
    asked = parser.parse_args()
    async with TextClient(asked.llm) as llm, SpeechClient(asked.speech) as speech:
        talk = Talk(llm, speech, ahead_s=asked.ahead)
        timeline = await talk.ask(asked.question, barge_in_s=asked.barge_in)
    print(timeline.written.strip(), "\n")
    print("\n".join(timeline.lines()))
    if timeline.interrupted_s is not None:
        print(f"heard: {timeline.heard}")
    save(bytes(talk.speaker.pcm), asked.output)
    print(f"written: {asked.output}")


if __name__ == "__main__":
    asyncio.run(main())
