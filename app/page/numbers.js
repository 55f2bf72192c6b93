// The numbers that matter, and the listener's buffer over time.

import {canvasOf, colour} from "/page/canvas.js";

const SHOWN = {
  first: ["First audio", "from the request to the first sound that came"],
  buffer: ["Buffer", "what is here and not played yet"],
  underruns: ["Underruns", "times that the sound had to wait"],
  rtf: ["RTF", "time to make it, over how long it sounds: below 1 is faster than real time"],
  held: ["LLM held", "how long the LLM has waited for the voice, or for you"],
};
const AUDIBLE = 0.003;
const SPAN_MS = 8000;
const POINT_MS = 100;

export class Numbers {
  #values = {};
  #chart;
  #points = [];
  #startMs = 0;
  #numUnderruns = 0;
  #audioMs = 0;
  firstMs = null;

  /** Below `element`, those of SHOWN that are `wanted`, and the chart. */
  constructor(element, wanted) {
    const list = document.createElement("dl");
    list.className = "numbers";
    for (const name of wanted) {
      const [title, meaning] = SHOWN[name];
      const item = Object.assign(document.createElement("div"), {title: meaning});
      const term = Object.assign(document.createElement("dt"), {textContent: title});
      this.#values[name] = Object.assign(document.createElement("dd"), {textContent: "–"});
      this.#values[name].dataset.number = name;
      item.append(term, this.#values[name]);
      list.append(item);
    }
    const canvas = document.createElement("canvas");
    canvas.className = "chart";
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", "The buffer over time");
    element.append(list, canvas);
    this.#chart = canvasOf(canvas, () => this.#draw());
  }

  /** The request goes out now. */
  begin() {
    this.#points = [];
    this.#numUnderruns = this.#audioMs = 0;
    this.firstMs = null;
    this.#startMs = performance.now();
    for (const value of Object.values(this.#values)) value.textContent = "–";
    this.#draw();
  }

  /** Samples have come. */
  came(samples, rateHz) {
    const now = performance.now() - this.#startMs;
    this.#audioMs += (samples.length * 1000) / rateHz;
    if (this.firstMs === null && samples.some((sample) => Math.abs(sample) > AUDIBLE)) {
      this.firstMs = now;
      this.say("first", `${Math.round(now)} ms`);
    }
    if (this.#values.rtf) this.say("rtf", (now / this.#audioMs).toFixed(2));
  }

  /** How the player stands. */
  stands({bufferedMs, numUnderruns}) {
    const at = performance.now() - this.#startMs;
    const isDry = numUnderruns > this.#numUnderruns;
    const last = this.#points.at(-1);
    const isEmptied = bufferedMs === 0 && last?.ms > 0;
    if (last && !isDry && !isEmptied && at - last.at < POINT_MS) return;
    this.#points.push({at, ms: bufferedMs, isDry});
    this.#numUnderruns = numUnderruns;
    this.say("buffer", `${(bufferedMs / 1000).toFixed(1)} s`);
    this.say("underruns", String(numUnderruns));
    this.#draw();
  }

  /** Show a number. */
  say(name, text) {
    this.#values[name].textContent = text;
  }

  #draw() {
    const {pen, width, height} = this.#chart.begin();
    const base = height - 16;
    const last = this.#points.at(-1)?.at ?? 0;
    const span = Math.max(SPAN_MS, last);
    const most = Math.max(1000, ...this.#points.map((point) => point.ms));
    const x = (at) => (at / span) * width;
    const y = (ms) => base - (ms / most) * (base - 14);
    this.#axes(pen, width, base, span, most, y);
    if (this.#points.length < 2) return;
    pen.beginPath();
    pen.moveTo(x(this.#points[0].at), base);
    for (const point of this.#points) pen.lineTo(x(point.at), y(point.ms));
    pen.lineTo(x(last), base);
    pen.fillStyle = colour("--accent-soft");
    pen.fill();
    pen.beginPath();
    for (const point of this.#points) pen.lineTo(x(point.at), y(point.ms));
    pen.strokeStyle = colour("--accent");
    pen.lineWidth = 2;
    pen.stroke();
    pen.fillStyle = colour("--bad");
    for (const point of this.#points.filter((each) => each.isDry)) pen.fillRect(x(point.at) - 1, 14, 2, base - 14);
  }

  #axes(pen, width, base, span, most, y) {
    pen.fillStyle = colour("--line");
    pen.fillRect(0, base, width, 1);
    pen.fillRect(0, y(most), width, 1);
    pen.fillStyle = colour("--muted");
    pen.font = "11px system-ui, sans-serif";
    pen.fillText(`buffer, ${(most / 1000).toFixed(1)} s`, 0, 11);
    pen.fillText("0 s", 0, base + 13);
    pen.textAlign = "right";
    pen.fillText(`${Math.round(span / 1000)} s`, width, base + 13);
    pen.textAlign = "left";
  }
}
