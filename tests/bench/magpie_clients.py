"""Some WebSocket clients in a process of their own, told what to do by JSON on stdin; `magpie_service` starts it.

First line in: `{"url", "clients": [{"at_s", "texts", "seed", "rounds"}], "send_rate", "is_brief"}`. They connect, and
"ready" is printed. Second line in: when to begin, on `time.monotonic`. Out: what each heard. A brief client leaves at
its first audio.
"""

import asyncio
import json
import sys
import time
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect

RATE_HZ: Final = 22050
TIMEOUT_S: Final = 60.0
LATE_S: Final = 0.001


async def _begin(connection: ClientConnection, fields: dict[str, Any]) -> None:
    await connection.send(json.dumps({"type": "init", "sample_rate": RATE_HZ} | fields))
    while json.loads(await connection.recv())["type"] != "stream_created":
        pass


async def _say(connection: ClientConnection, texts: list[str], *, is_brief: bool) -> dict[str, float]:
    """Seconds: `first_s` from the text to the first audio, `underrun_s` without audio after it."""
    sent_s = time.perf_counter()
    for text in texts:
        await connection.send(json.dumps({"type": "text", "text": text, "mode": "stream", "preset": "aggressive"}))
    if not is_brief:
        await connection.send('{"type": "close"}')
    heard = {"first_s": -1.0, "audio_s": 0.0, "underrun_s": 0.0}
    ends_s = 0.0
    while True:
        data = await connection.recv()
        now_s = time.perf_counter()
        if isinstance(data, bytes):
            if heard["first_s"] < 0:
                heard["first_s"], ends_s = now_s - sent_s, now_s
                if is_brief:
                    await connection.send('{"type": "cancel"}')
            elif now_s - ends_s > LATE_S and not is_brief:
                heard["underrun_s"] += now_s - ends_s
                ends_s = now_s
            ends_s += len(data) / 2 / RATE_HZ
            heard["audio_s"] += len(data) / 2 / RATE_HZ
            continue
        kind = json.loads(data)["type"]
        if kind == "error":
            raise RuntimeError(str(data)[:200])
        if kind in ("done", "cancelled"):
            return heard


async def _one(
    order: dict[str, Any], client: dict[str, Any], ready: asyncio.Future[None], start: asyncio.Future[float]
) -> dict[str, Any]:
    try:
        async with (
            asyncio.timeout(TIMEOUT_S),
            connect(order["url"], max_size=None, compression=None, open_timeout=30) as socket,
        ):
            fields = {"seed": client["seed"]} | ({"send_rate": order["send_rate"]} if order["send_rate"] else {})
            await _begin(socket, fields)
            ready.set_result(None)
            rest_s = await start + client["at_s"] - time.monotonic()
            await asyncio.sleep(max(0.0, rest_s))
            heard = await _say(socket, client["texts"], is_brief=order["is_brief"])
            for _ in range(client.get("rounds", 1) - 1):
                await _begin(socket, fields)
                more = await _say(socket, client["texts"], is_brief=True)
                heard.setdefault("more_s", []).append(more["first_s"])  # type: ignore[arg-type, attr-defined]
                await asyncio.sleep(0.005)
            return dict(heard) | {"error": ""}
    except Exception as error:
        if not ready.done():
            ready.set_result(None)
        return {"first_s": -1.0, "audio_s": 0.0, "underrun_s": 0.0, "error": f"{type(error).__name__}: {error}"[:200]}


async def main() -> None:
    order = json.loads(sys.stdin.readline())
    loop = asyncio.get_running_loop()
    start: asyncio.Future[float] = loop.create_future()
    ready: list[asyncio.Future[None]] = [loop.create_future() for _ in order["clients"]]
    pairs = zip(order["clients"], ready, strict=True)
    tasks = [asyncio.create_task(_one(order, client, one, start)) for client, one in pairs]
    await asyncio.gather(*ready)
    print("ready", flush=True)
    start.set_result(float(await asyncio.to_thread(sys.stdin.readline)))
    print(json.dumps(await asyncio.gather(*tasks)), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
