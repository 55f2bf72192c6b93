// The waveform as it grows: what has come, and over it what has been played.

import {canvasOf, colour} from "/page/canvas.js";

const BINS_PER_S = 40;
const BAR = 3; // pixels, with the gap behind it

export class Wave {
  #canvas;
  #peaks = [];
  #open = 0; // the peak of the bin that is not full yet, and how much of it there is
  #numInBin = 0;
  #playedMs = 0;

  constructor(element) {
    this.#canvas = canvasOf(element, () => this.draw());
  }

  clear() {
    this.#peaks = [];
    this.#open = this.#numInBin = this.#playedMs = 0;
    this.draw();
  }

  add(samples, rateHz) {
    const size = rateHz / BINS_PER_S;
    for (const sample of samples) {
      this.#open = Math.max(this.#open, Math.abs(sample));
      if (++this.#numInBin >= size) {
        this.#peaks.push(this.#open);
        this.#open = this.#numInBin = 0;
      }
    }
  }

  played(playedMs) {
    this.#playedMs = playedMs;
  }

  draw() {
    const {pen, width, height} = this.#canvas.begin();
    const [line, played, waiting] = ["--line", "--accent", "--waiting"].map(colour);
    pen.fillStyle = line;
    pen.fillRect(0, height / 2 - 0.5, width, 1);
    const each = Math.max(1, Math.ceil((this.#peaks.length * BAR) / width)); // bins in a bar
    const numPlayed = (this.#playedMs / 1000) * BINS_PER_S;
    for (let place = 0; place < this.#peaks.length; place += each) {
      const peak = Math.max(...this.#peaks.slice(place, place + each));
      const tall = Math.max(1.5, Math.min(1, peak * 1.6) * (height - 8));
      pen.fillStyle = place < numPlayed ? played : waiting;
      pen.fillRect((place / each) * BAR, (height - tall) / 2, BAR - 1.2, tall);
    }
  }
}
