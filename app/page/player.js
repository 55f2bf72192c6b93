// Plays samples as they come, without a gap, on the browser's audio thread, and knows what has been heard.

import {Resampler} from "/page/resampler.js";

const OFFERED_HZ = [48000, 44100, 24000, 22050, 16000, 8000];
const NOTHING = {numQueued: 0, numPlayed: 0, numUnderruns: 0, isDry: false, isOver: false};

/** One loudspeaker. An utterance begins with `begin`; `onreport` is called some sixty times a second while it plays. */
export class Player {
  #context = null;
  #node = null;
  #resampler = null;
  #rateHz = 0;
  #waiting = null; // resolved when all has been played, or stopped
  #state = NOTHING;
  #utterance = 0; // whose reports count
  onreport = () => {};

  /** Ready to sound. Call it from what a person does: browsers keep pages silent until then. */
  async open() {
    if (this.#context === null) await this.#make();
    await this.#context.resume();
  }

  /** The rate that needs no resampling here, or the best that the server has. */
  get wantedHz() {
    const own = this.#context.sampleRate;
    return OFFERED_HZ.includes(own) ? own : OFFERED_HZ.find((rate) => rate <= own) ?? 8000;
  }

  begin() {
    this.#tell({do: "begin", utterance: ++this.#utterance});
    this.#resampler = null;
    this.#state = NOTHING;
  }

  add(samples, rateHz) {
    if (this.#resampler === null || rateHz !== this.#rateHz) {
      this.#rateHz = rateHz;
      this.#resampler = new Resampler(rateHz, this.#context.sampleRate);
    }
    this.#push(this.#resampler.process(samples));
  }

  /** No more comes. Resolves when all of it has been played, to true, or was stopped. */
  end() {
    if (this.#resampler !== null) this.#push(this.#resampler.finish());
    this.#tell({do: "end"});
    return new Promise((resolve) => (this.#waiting = resolve));
  }

  /** Silence, at once. What had been played stays known until the next `begin`. */
  stop() {
    this.#tell({do: "stop"});
    this.#state = {...this.#state, numQueued: 0};
    this.#utterance++;
    this.#context?.resume();
    this.onreport();
    this.#settle(false);
  }

  pause() {
    return this.#context.suspend();
  }

  resume() {
    return this.#context.resume();
  }

  get isPaused() {
    return this.#context?.state === "suspended";
  }

  /** What has sounded: what was played, less what the device still holds. */
  get playedMs() {
    const heldMs = this.#state.isOver ? 0 : (this.#context?.outputLatency ?? 0) * 1000;
    return Math.max(0, this.#ms(this.#state.numPlayed) - heldMs);
  }

  get bufferedMs() {
    return this.#ms(this.#state.numQueued);
  }

  get numUnderruns() {
    return this.#state.numUnderruns;
  }

  #ms(numSamples) {
    return this.#context ? (numSamples * 1000) / this.#context.sampleRate : 0;
  }

  async #make() {
    const context = new AudioContext({latencyHint: "interactive"});
    if (!context.audioWorklet) throw new Error("this browser plays sound only on pages of localhost or of HTTPS");
    await context.audioWorklet.addModule("/page/worklet.js");
    this.#node = new AudioWorkletNode(context, "tiding-playback", {numberOfInputs: 0, outputChannelCount: [1]});
    this.#node.port.onmessage = ({data}) => this.#hear(data);
    this.#node.connect(context.destination);
    this.#context = context;
  }

  #push(samples) {
    if (samples.length === 0) return;
    this.#state = {...this.#state, numQueued: this.#state.numQueued + samples.length};
    const own = samples.slice();
    this.#node.port.postMessage({do: "add", samples: own}, [own.buffer]);
  }

  #tell(message) {
    this.#node?.port.postMessage(message);
  }

  #hear(state) {
    if (state.utterance !== this.#utterance) return;
    this.#state = state;
    this.onreport();
    if (state.isOver) this.#settle(true);
  }

  #settle(isWhole) {
    this.#waiting?.(isWhole);
    this.#waiting = null;
  }
}
