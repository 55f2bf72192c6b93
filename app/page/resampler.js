// From one sample rate to another while the samples come: a windowed sinc, so that what is above either rate's half does
// not fold back. Where the rates are the same, samples pass as they are.
//
// Source: J. O. Smith, "Digital Audio Resampling", windowed-sinc interpolation; a Kaiser window, beta 8.

const NUM_ZEROS = 16; // of the sinc, on either side
const NUM_PHASES = 512;
const BETA = 8;

/** Event loop only. One stream: the tail of one piece is the head of the next. */
export class Resampler {
  #ratio;
  #cutoff;
  #reach; // input samples on either side of an output sample
  #history;
  #position; // of the next output sample, in `#history`
  #table;

  constructor(fromHz, toHz) {
    this.#ratio = fromHz / toHz;
    this.#cutoff = Math.min(1, toHz / fromHz) * (fromHz === toHz ? 1 : 0.95);
    this.#reach = Math.ceil(NUM_ZEROS / this.#cutoff);
    this.#history = new Float32Array(this.#reach);
    this.#position = this.#reach;
    this.#table = kernel(this.#cutoff, this.#reach);
  }

  /** What can be said of the output with these samples. */
  process(samples) {
    if (this.#ratio === 1) return samples;
    const input = joined(this.#history, samples);
    const num = Math.max(0, Math.ceil((input.length - this.#reach - this.#position) / this.#ratio));
    const output = new Float32Array(num);
    for (let place = 0; place < num; place++) output[place] = this.#at(input, this.#position + place * this.#ratio);
    const next = this.#position + num * this.#ratio;
    const first = Math.max(0, Math.floor(next) - this.#reach);
    this.#history = input.slice(first);
    this.#position = next - first;
    return output;
  }

  /** The rest. */
  finish() {
    return this.#ratio === 1 ? new Float32Array(0) : this.process(new Float32Array(this.#reach));
  }

  #at(input, position) {
    const whole = Math.floor(position);
    const phase = (position - whole) * NUM_PHASES;
    const low = Math.floor(phase);
    const share = phase - low;
    const width = 2 * this.#reach;
    let sum = 0;
    for (let tap = 0; tap < width; tap++) {
      const at = low * width + tap;
      const weight = this.#table[at] + share * (this.#table[at + width] - this.#table[at]);
      sum += weight * (input[whole + 1 - this.#reach + tap] ?? 0);
    }
    return sum;
  }
}

/** Phase by phase, the weights of the samples around. */
function kernel(cutoff, reach) {
  const width = 2 * reach;
  const table = new Float32Array((NUM_PHASES + 1) * width);
  for (let phase = 0; phase <= NUM_PHASES; phase++) {
    let sum = 0;
    for (let tap = 0; tap < width; tap++) {
      const away = tap - (reach - 1) - phase / NUM_PHASES;
      const weight = cutoff * sinc(cutoff * away) * kaiser(away / reach);
      table[phase * width + tap] = weight;
      sum += weight;
    }
    for (let tap = 0; tap < width; tap++) table[phase * width + tap] /= sum; // a steady level stays what it is
  }
  return table;
}

const sinc = (x) => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));
const kaiser = (x) => (Math.abs(x) >= 1 ? 0 : bessel(BETA * Math.sqrt(1 - x * x)) / bessel(BETA));

/** The modified Bessel function of order zero. */
function bessel(x) {
  let sum = 1;
  for (let term = 1, k = 1; term > 1e-9 * sum; k++) sum += term *= (x / (2 * k)) ** 2;
  return sum;
}

function joined(first, second) {
  const all = new Float32Array(first.length + second.length);
  all.set(first);
  all.set(second, first.length);
  return all;
}
