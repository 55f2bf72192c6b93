// The three modes over HTTP, as events of the same shape as an utterance's.

import {ask} from "/page/key.js";
import {samplesOf, TidingError} from "/page/tiding.js";

/** Speech over HTTP. `stop` is an AbortSignal: it ends the request, and with it the work on the server. */
export function speakOverHttp(mode, text, manner, stop) {
  return {batch, stream, adaptive}[mode](text, manner, stop);
}

async function* batch(text, manner, stop) {
  const body = {input: text, ...manner, response_format: "pcm", stream_format: "sse", word_timestamps: true};
  const response = await post("/v1/audio/speech", body, stop);
  for await (const event of eventsOf(response.body)) {
    if (event.type === "speech.words") yield {type: "words", words: event.words};
    if (event.type === "speech.audio.delta") yield audio(Uint8Array.from(atob(event.audio), (c) => c.charCodeAt(0)).buffer, manner);
    if (event.type === "error") throw new TidingError(event.error.message, event.error.code);
  }
}

async function* stream(text, manner, stop) {
  yield* pieces(await post("/v1/audio/speech/stream", {input: text, ...manner}, stop), manner);
}

/** Text is appended word by word, as an LLM would. */
async function* adaptive(text, manner, stop) {
  const {stream_id: id, audio_url: url} = await (await post("/v1/tts/stream", manner, stop)).json();
  try {
    const listening = ask(url, {signal: stop});
    const appending = append(id, text, stop);
    appending.catch(() => {}); // whoever awaits it below is told
    yield* pieces(await accepted(await listening), manner);
    await appending;
  } finally {
    if (stop.aborted) ask(`/v1/tts/stream/${id}`, {method: "DELETE", keepalive: true}).catch(() => {});
  }
}

async function append(id, text, stop) {
  for (const piece of text.match(/\s*\S+(\s+$)?/g) ?? []) await post(`/v1/tts/stream/${id}/append`, {text: piece}, stop);
  await post(`/v1/tts/stream/${id}/close`, {}, stop);
}

async function post(path, body, signal) {
  const headers = {"Content-Type": "application/json"};
  return accepted(await ask(path, {method: "POST", body: JSON.stringify(body), headers, signal}));
}

async function accepted(response) {
  if (response.ok) return response;
  const {error} = await response.json();
  throw new TidingError(error.message, error.code);
}

/** Whole samples, however the bytes are cut. */
async function* pieces(response, manner) {
  let odd = new Uint8Array(0);
  for await (const bytes of chunksOf(response.body)) {
    const all = new Uint8Array(odd.length + bytes.length);
    all.set(odd);
    all.set(bytes, odd.length);
    odd = all.slice(all.length - (all.length % 2));
    if (all.length > 1) yield audio(all.slice(0, all.length - odd.length).buffer, manner);
  }
}

const audio = (bytes, {sample_rate: sampleRate}) => ({type: "audio", bytes, samples: samplesOf(bytes), sampleRate});

/** Server-sent events. Source: WHATWG HTML, as far as this server uses them. */
async function* eventsOf(body) {
  const decoder = new TextDecoder();
  let text = "";
  for await (const bytes of chunksOf(body)) {
    text += decoder.decode(bytes, {stream: true});
    const events = text.split("\n\n");
    text = events.pop();
    for (const event of events) yield JSON.parse(event.slice("data: ".length));
  }
}

/** A stream's chunks, where streams cannot be iterated as well. */
async function* chunksOf(body) {
  const reader = body.getReader();
  try {
    for (;;) {
      const {done, value} = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
