// The loudspeaker's end of a queue: runs on the audio thread, plays what is there without a gap, and counts when it is
// dry. Samples are at the context's own rate.

const REPORT_EVERY = 6; // blocks of 128 samples: 16 ms at 48 000 Hz
const AGAIN = sampleRate / 10; // samples that have to be there before a sound that was dry goes on
const FADE = 240; // samples in which a stop ends what sounds: no click, and 5 ms

class Playback extends AudioWorkletProcessor {
  #queue = [];
  #at = 0; // in the first of the queue
  #numQueued = 0;
  #numPlayed = 0;
  #numUnderruns = 0;
  #hasBegun = false;
  #isEnded = false;
  #isDry = false;
  #numBlocks = 0;
  #last = 0; // the sample that sounded last, and how much of the fade from it is left
  #fade = 0;
  #utterance = 0;

  constructor() {
    super();
    this.port.onmessage = ({data}) => this[data.do](data);
  }

  add({samples}) {
    this.#queue.push(samples);
    this.#numQueued += samples.length;
  }

  end() {
    this.#isEnded = true;
  }

  /** Silence, at once: the next block is the last that is not silent. */
  stop() {
    this.begin({utterance: -1});
    this.#fade = FADE;
  }

  begin({utterance}) {
    this.#utterance = utterance;
    this.#queue = [];
    this.#at = this.#numQueued = this.#numPlayed = this.#numUnderruns = 0;
    this.#hasBegun = this.#isEnded = this.#isDry = false;
    this.#report();
  }

  process(_, [[output]]) {
    const numFilled = this.#fill(output);
    if (numFilled < output.length) this.#fall(output, numFilled);
    this.#last = output[output.length - 1];
    if (++this.#numBlocks % REPORT_EVERY === 0) this.#report();
    return true;
  }

  #fill(output) {
    let num = 0;
    if (this.#isDry && !this.#isEnded && this.#numQueued < AGAIN) return 0;
    while (num < output.length && this.#queue.length) {
      const piece = this.#queue[0];
      const part = piece.subarray(this.#at, this.#at + output.length - num);
      output.set(part, num);
      num += part.length;
      this.#at += part.length;
      if (this.#at === piece.length) {
        this.#queue.shift();
        this.#at = 0;
      }
    }
    this.#numQueued -= num;
    this.#numPlayed += num;
    this.#hasBegun ||= num > 0;
    if (num) this.#fade = 0;
    const isDry = num < output.length && this.#hasBegun && !this.#isEnded;
    if (isDry && !this.#isDry) this.#numUnderruns++;
    this.#isDry = isDry;
    return num;
  }

  /** From the last sample down to silence. */
  #fall(output, from) {
    for (let place = from; place < output.length && this.#fade > 0; place++) {
      output[place] = this.#last * (--this.#fade / FADE);
    }
  }

  #report() {
    this.port.postMessage({
      utterance: this.#utterance,
      numQueued: this.#numQueued,
      numPlayed: this.#numPlayed,
      numUnderruns: this.#numUnderruns,
      isDry: this.#isDry,
      isOver: this.#isEnded && this.#numQueued === 0,
    });
  }
}

registerProcessor("tiding-playback", Playback);
