// Tiding's WebSocket for browsers, Node 22 and Deno: no dependencies, nothing to build.
//
//     const tiding = new Tiding("ws://localhost:8001");
//     const utterance = tiding.say("Good morning.", {voice: "john"});
//     for await (const event of utterance) if (event.type === "audio") play(event.samples, event.sampleRate);
//
// One socket carries any number of utterances at once. Each is a context of its own: with its own voice and settings,
// cancelled by itself. What goes wrong with one is thrown where it is iterated; the others go on.

const PATH = "/ws/tts/stream";
const MAX_RETRY_MS = 5000;

/** What the server, or the connection, had to say against it. `code` is stable. */
export class TidingError extends Error {
  constructor(message, code) {
    super(message);
    this.name = "TidingError";
    this.code = code;
  }
}

/** A socket that shows an API key: as a subprotocol, or, if its characters are not allowed there, as a parameter. */
export function openSocket(url, apiKey = "", WebSocket = globalThis.WebSocket) {
  if (!apiKey) return new WebSocket(url);
  if (/^[\w!#$%&'*+.^`|~-]+$/.test(apiKey)) return new WebSocket(url, ["tiding", `tiding.bearer.${apiKey}`]);
  const address = new URL(url);
  address.searchParams.set("api_key", apiKey);
  return new WebSocket(address.href);
}

/** A connection, opened when something is said and again when it was lost. */
export class Tiding {
  #url;
  #options;
  #socket = null;
  #utterances = new Map();
  #owner = null; // of the audio that comes next
  #numNamed = 0;
  #numLost = 0;
  #retry = null;

  /**
   * `url`: of the server, without a path; in a page, its own by default. Options: `retries` (5), how often in a row a
   * lost connection is tried again; `retryMs` (200), the first pause, doubled each time; `apiKey`, where the server asks
   * for one; `WebSocket`, another class.
   */
  constructor(url = globalThis.location?.origin, options = {}) {
    const address = new URL(PATH, url.replace(/^http/, "ws"));
    this.#url = address.href;
    this.#options = {retries: 5, retryMs: 200, WebSocket: globalThis.WebSocket, ...options};
  }

  /** Whether the socket is open. */
  get isOpen() {
    return this.#socket?.readyState === 1;
  }

  /** Open the socket now, so that the first utterance need not wait for it. */
  connect() {
    if (this.#socket === null && this.#retry === null) this.#open();
  }

  /** Begin an utterance: text may follow with `write`. `settings` are the fields of `init`. */
  open(settings = {}) {
    const utterance = new Utterance(`js-${++this.#numNamed}`, {word_timestamps: true, ...settings}, this);
    this.#utterances.set(utterance.name, utterance);
    this.connect();
    return utterance;
  }

  /** Speak a whole text. */
  say(text, settings = {}) {
    const utterance = this.open(settings);
    utterance.write(text);
    utterance.finish();
    return utterance;
  }

  /** End everything. */
  close() {
    clearTimeout(this.#retry);
    const socket = this.#socket;
    this.#socket = this.#retry = null;
    socket?.close();
    this.#fail(new TidingError("the connection was closed", "closed"), () => true);
  }

  /** @package */
  keep(utterance) {
    this.#utterances.set(utterance.name, utterance);
  }

  /** @package */
  send(message) {
    if (this.isOpen) this.#socket.send(JSON.stringify(message));
  }

  #open() {
    const socket = openSocket(this.#url, this.#options.apiKey, this.#options.WebSocket);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.#replay();
    socket.onmessage = ({data}) => this.#hear(data);
    socket.onclose = () => socket === this.#socket && this.#lose();
    socket.onerror = () => {}; // the close that follows is enough
    this.#socket = socket;
    this.#owner = null;
  }

  /** What has not been heard yet is asked for on the new socket. */
  #replay() {
    for (const utterance of this.#utterances.values()) utterance.asked.forEach((message) => this.send(message));
  }

  #lose() {
    this.#socket = null;
    const error = new TidingError("the connection to the server was lost", "connection_lost");
    this.#fail(error, (utterance) => utterance.hasBegun);
    if (this.#utterances.size === 0) return;
    if (this.#numLost >= this.#options.retries) {
      this.#numLost = 0;
      this.#fail(error, () => true);
      return;
    }
    const pause = Math.min(MAX_RETRY_MS, this.#options.retryMs * 2 ** this.#numLost++);
    this.#retry = setTimeout(() => {
      this.#retry = null;
      this.#open();
    }, pause);
  }

  #hear(data) {
    this.#numLost = 0;
    if (typeof data !== "string") {
      this.#owner?.hearAudio(data);
      this.#owner = null;
      return;
    }
    const message = JSON.parse(data);
    const utterance = this.#utterances.get(message.context_id);
    if (message.type === "chunk") this.#owner = utterance ?? null;
    else if (utterance?.hear(message)) this.#utterances.delete(utterance.name);
    else if (message.fatal) this.#fail(new TidingError(message.message, message.code), () => true);
  }

  #fail(error, isMeant) {
    for (const utterance of [...this.#utterances.values()].filter(isMeant)) {
      this.#utterances.delete(utterance.name);
      utterance.fail(error);
    }
  }
}

/**
 * What is being said. Iterate it for its events, in order: `{type: "audio", bytes, samples, sampleRate}`, where `samples`
 * is a Float32Array for the two linear encodings; `{type: "words", words}`; `warning`, `segment_complete`, and last
 * `done` or `cancelled`.
 */
export class Utterance {
  #connection;
  #events = [];
  #wake = () => {};
  #isOver = false;
  #error = null;
  #format = null;
  #cancelled = null; // the promise of the answer, and what resolves it

  constructor(name, settings, connection) {
    this.name = name;
    this.hasBegun = false;
    this.asked = []; // until something of it has been heard
    this.#connection = connection;
    this.#ask({type: "init", ...settings});
  }

  get isOver() {
    return this.#isOver;
  }

  /** More text. With a `mode` it is a segment as it stands; without, pieces are joined and cut by the server. */
  write(text, fields = {}) {
    this.#ask({type: "text", text, ...fields});
  }

  /** Speak what waits for the end of its sentence. */
  flush() {
    this.#ask({type: "flush"});
  }

  /** No more text. */
  finish() {
    this.#ask({type: "close"});
  }

  /**
   * Barge-in: no further audio comes. Resolves to what the server answers: `text_spoken` is what can have been heard, by
   * `playedMs` where the player knows how much it has played. All of it may have come already and still sound. Null when
   * it was lost.
   */
  cancel(playedMs) {
    if (this.#cancelled === null) {
      this.#cancelled = deferred();
      this.asked = [];
      if (this.#error || !this.#connection.isOpen) {
        this.fail(this.#error ?? new TidingError("cancelled before it began", "cancelled"));
      } else {
        this.#connection.keep(this);
        const played = playedMs === undefined ? {} : {played_ms: Math.max(0, playedMs)};
        this.#connection.send({type: "cancel", context_id: this.name, ...played});
      }
    }
    return this.#cancelled.promise;
  }

  /** Its events. Leaving the loop early cancels it. */
  async *[Symbol.asyncIterator]() {
    try {
      for (;;) {
        while (this.#events.length) yield this.#events.shift();
        if (this.#error) throw this.#error;
        if (this.#isOver) return;
        await new Promise((resolve) => (this.#wake = resolve));
      }
    } finally {
      if (!this.#isOver) this.cancel();
    }
  }

  /** @package Whether nothing more is to be heard of it. */
  hear(message) {
    if (message.type === "error") {
      this.#connection.send({type: "cancel", context_id: this.name}); // it may be half said
      this.fail(new TidingError(message.message, message.code));
      return true;
    }
    if (message.type === "stream_created") this.#format = message;
    else this.#put(message);
    const isCancelled = message.type === "cancelled";
    this.#isOver ||= isCancelled || message.type === "done";
    if (isCancelled) this.#cancelled?.resolve(message);
    this.#wake();
    return this.#isOver && (isCancelled || this.#cancelled === null);
  }

  /** @package */
  hearAudio(bytes) {
    this.hasBegun = true;
    this.asked = [];
    const {sample_rate: sampleRate, encoding} = this.#format;
    this.#put({type: "audio", bytes, samples: samplesOf(bytes, encoding), sampleRate});
    this.#wake();
  }

  /** @package */
  fail(error) {
    this.#error = error;
    this.#isOver = true;
    this.#cancelled?.resolve(null);
    this.#wake();
  }

  #put(event) {
    if (!this.#isOver) this.#events.push(event);
  }

  #ask(message) {
    if (this.#isOver || this.#cancelled) return;
    const named = {...message, context_id: this.name};
    if (!this.hasBegun) this.asked.push(named);
    this.#connection.send(named);
  }
}

/** Bytes as samples in -1..1; null for an encoding that is not linear. */
export function samplesOf(bytes, encoding = "pcm_s16le") {
  if (encoding === "pcm_f32le") return new Float32Array(bytes);
  if (encoding !== "pcm_s16le") return null;
  return Float32Array.from(new Int16Array(bytes), (sample) => sample / 32768);
}

function deferred() {
  let resolve;
  const promise = new Promise((settle) => (resolve = settle));
  return {promise, resolve};
}
