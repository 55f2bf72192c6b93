"""A stand-in for an LLM server on the same card: `python -m tests.bench.magpie_load [--layers N] [--width D] ...`.

Decodes one token after the other through a stack of layers of the shape of a 7B model (width 4096, 32 layers, gated
feed-forward of 11008, 32 heads, a context of 2048 tokens, bf16, random weights), as one CUDA graph a token with a wait
after each, as a server does that reads the token. Prints "ready", then once a second how many tokens it has made.
"""

import argparse
import sys
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


class Layers:
    """The stack, with its caches."""

    def __init__(self, options: argparse.Namespace, device: torch.device) -> None:
        width, hidden, self.heads = options.width, options.hidden, options.heads
        dtype = torch.bfloat16 if device.type == "cuda" else torch.float32

        def draw(*dims: int) -> Tensor:
            return torch.randn(dims, device=device, dtype=dtype) * dims[-1] ** -0.5

        self.layers = [
            (draw(3 * width, width), draw(width, width), draw(2 * hidden, width), draw(width, hidden))
            for _ in range(options.layers)
        ]
        shape = (options.layers, 2, options.batch, self.heads, options.context, width // self.heads)
        self.caches = torch.randn(shape, device=device, dtype=dtype)
        self.x = torch.randn(options.batch, width, device=device, dtype=dtype)

    def step(self) -> None:
        """A token of each row."""
        x = self.x
        for (qkv, out, up, down), (keys, values) in zip(self.layers, self.caches, strict=True):
            q, k, v = (F.layer_norm(x, x.shape[-1:]) @ qkv.T).view(len(x), 3, self.heads, 1, -1).unbind(1)
            keys[:, :, -1:], values[:, :, -1:] = k, v
            attention = F.scaled_dot_product_attention(q, keys, values)
            x = x + attention.reshape(x.shape) @ out.T
            gate, value = (F.layer_norm(x, x.shape[-1:]) @ up.T).chunk(2, -1)
            x = x + (F.silu(gate) * value) @ down.T
        self.x.copy_(F.layer_norm(x, x.shape[-1:]))


def captured(work: Callable[[], None], device: torch.device) -> Callable[[], None]:
    if device.type != "cuda":
        return work
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            work()
        stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=stream):
            work()
    return graph.replay


@torch.inference_mode()
def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser()
    for name, value in (
        ("layers", 32),
        ("width", 4096),
        ("hidden", 11008),
        ("heads", 32),
        ("context", 2048),
        ("batch", 1),
    ):
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args(arguments)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    stack = Layers(options, device)
    step = captured(stack.step, device)
    print("ready", flush=True)
    num_tokens, said_s = 0, time.monotonic()
    while True:
        step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        num_tokens += 1
        now_s = time.monotonic()
        if now_s - said_s >= 1:
            print(f"{num_tokens / (now_s - said_s):.1f}", flush=True)
            num_tokens, said_s = 0, now_s


if __name__ == "__main__":
    main(sys.argv[1:])
