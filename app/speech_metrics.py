"""The metrics of the speech server. They are described in docs/reference/metrics.md, which a test holds to this."""

from typing import Final

from app.metric import Metric, counter, gauge, histogram, when_ready

SPEECH_METRICS: Final[tuple[Metric, ...]] = (
    gauge("tiding_engine_ready", "1 when the model is loaded and works", lambda engine: engine.state == "ready"),
    gauge("tiding_model_info", "Which model speaks", when_ready(lambda engine: {(engine.model_name,): 1}), "model"),
    histogram(
        "tiding_first_audio_seconds",
        "From a stream's first text to its first audio, ready to be sent",
        lambda engine: engine.measures.first_audio_s,
        "mode",
    ),
    histogram(
        "tiding_real_time_ratio",
        "Time from a stream's first text to its last audio made, over how long that sounds",
        lambda engine: engine.measures.real_time_factors,
        "mode",
    ),
    histogram(
        "tiding_step_duration_seconds",
        "One step of the device for all that run, with the prefills that it began",
        lambda engine: engine.measures.steps,
    ),
    counter("tiding_step_rows_total", "Slots that were stepped", lambda engine: engine.measures.num_rows),
    gauge("tiding_slots_in_use", "Slots that are owned", when_ready(lambda engine: engine.num_busy_slots)),
    gauge("tiding_slots_capacity", "Slots that the model has", when_ready(lambda engine: engine.num_slots)),
    gauge("tiding_sessions_open", "Open sessions", lambda engine: engine.num_sessions),
    gauge("tiding_sessions_capacity", "Sessions that may be open", lambda engine: engine.limits.max_sessions),
    gauge("tiding_queue_length", "Segments that wait for a slot", when_ready(lambda engine: engine.num_waiting)),
    histogram("tiding_queue_wait_seconds", "How long segments waited for a slot", lambda engine: engine.measures.waits),
    counter(
        "tiding_underrun_seconds_total",
        "Time that listeners waited in silence for audio that was due",
        lambda engine: engine.measures.underrun_s,
        "mode",
    ),
    counter(
        "tiding_underruns_total",
        "Times that a listener ran dry although there was something to say",
        lambda engine: engine.measures.underruns,
        "mode",
    ),
    counter(
        "tiding_streams_total",
        "Streams that are over, by how they ended",
        lambda engine: engine.measures.streams,
        "mode",
        "outcome",
    ),
    counter(
        "tiding_refusals_total",
        "Requests and messages that were refused, by the code of their error",
        lambda engine: engine.refusals.counts,
        "mode",
        "reason",
    ),
    counter("tiding_segments_total", "Segments begun", lambda engine: engine.measures.segments, "mode"),
    counter(
        "tiding_segments_cut_short_total",
        "Segments that a guard of the model ended before their text did",
        lambda engine: engine.measures.cut_short,
        "reason",
    ),
    counter(
        "tiding_segments_failed_total",
        "Segments on which the model failed",
        lambda engine: engine.measures.num_failed_segments,
    ),
    counter("tiding_characters_total", "Characters pushed", lambda engine: engine.measures.characters, "mode"),
    counter("tiding_audio_seconds_total", "Audio sent to clients", lambda engine: engine.measures.sent_s, "mode"),
    counter("tiding_audio_made_seconds_total", "Audio made", lambda engine: engine.measures.made_s, "mode"),
)
