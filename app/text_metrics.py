"""The metrics of the LLM server. They are described in docs/reference/metrics.md, which a test holds to this."""

from typing import Final

from app.metric import Metric, Reading, counter, gauge, histogram, when_ready
from engines.llm.engine import TextEngine


def _sessions(engine: TextEngine) -> Reading:
    return {(state,): count for state, count in engine.num_by_state.items()}


TEXT_METRICS: Final[tuple[Metric, ...]] = (
    gauge("tiding_llm_engine_ready", "1 when the model is loaded and works", lambda engine: engine.state == "ready"),
    gauge("tiding_llm_model_info", "Which model writes", when_ready(lambda engine: {(engine.model_name,): 1}), "model"),
    histogram(
        "tiding_llm_first_token_seconds",
        "From the asking for a chunk to its first token; the first chunk of a session reads its prompt",
        lambda engine: engine.measures.first_token_s,
        "mode",
        "chunk",
    ),
    histogram(
        "tiding_llm_step_duration_seconds",
        "One step of the device for all that write, with the prompts that it read of",
        lambda engine: engine.measures.steps,
    ),
    counter("tiding_llm_step_rows_total", "Sequences that were stepped", lambda engine: engine.measures.num_rows),
    counter(
        "tiding_llm_prompt_tokens_evaluated_total",
        "Tokens of prompts that the model has read",
        lambda engine: engine.measures.evaluated,
        "mode",
    ),
    counter(
        "tiding_llm_prompt_tokens_cached_total",
        "Tokens of prompts that were in the cache, and not read again",
        lambda engine: engine.measures.cached,
        "mode",
    ),
    counter("tiding_llm_tokens_generated_total", "Tokens drawn", lambda engine: engine.measures.num_drawn),
    gauge("tiding_llm_kv_cells_in_use", "Cells that hold a token", when_ready(lambda engine: engine.num_used_cells)),
    gauge("tiding_llm_kv_cells_capacity", "Cells of the cache", when_ready(lambda engine: engine.num_cells)),
    gauge("tiding_llm_slots_in_use", "Slots of open sessions", when_ready(lambda engine: engine.num_busy_slots)),
    gauge("tiding_llm_slots_capacity", "Slots that the model has", when_ready(lambda engine: engine.num_slots)),
    gauge("tiding_llm_sessions", "Open sessions by what they are about", when_ready(_sessions), "state"),
    gauge("tiding_llm_sessions_capacity", "Sessions that may be open", lambda engine: engine.limits.max_sessions),
    counter(
        "tiding_llm_preemptions_total",
        "Times that what a session has in the cache was put aside for others",
        lambda engine: engine.measures.num_preempted,
    ),
    counter(
        "tiding_llm_streams_total",
        "Streams and chats that are over, by how they ended",
        lambda engine: engine.measures.streams,
        "mode",
        "outcome",
    ),
    counter(
        "tiding_llm_refusals_total",
        "Requests and messages that were refused, by the code of their error",
        lambda engine: engine.refusals.counts,
        "mode",
        "reason",
    ),
)
