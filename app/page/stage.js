// Where speech is heard and seen: the player, its waveform, its numbers, and the words that light up.

import {Numbers} from "/page/numbers.js";
import {Player} from "/page/player.js";
import {Wave} from "/page/wave.js";

export class Stage {
  #words = null;
  #wave;
  #numbers;
  #isDue = false; // to be shown with the next picture of the screen

  /** On the elements whose ids begin with `name`, with these numbers. */
  constructor(name, numbers) {
    this.player = new Player();
    this.#wave = new Wave(document.getElementById(`${name}-wave`));
    this.#numbers = new Numbers(document.getElementById(`${name}-numbers`), numbers);
    this.player.onreport = () => {
      if (!this.#isDue) requestAnimationFrame(() => this.#show());
      this.#isDue = true;
    };
  }

  begin(words) {
    this.#words = words;
    this.player.begin();
    this.#wave.clear();
    this.#numbers.begin();
  }

  /** An event of what is spoken. */
  take(event) {
    if (event.type === "words") this.#words.time(event.words);
    if (event.type !== "audio") return;
    this.player.add(event.samples, event.sampleRate);
    this.#wave.add(event.samples, event.sampleRate);
    this.#numbers.came(event.samples, event.sampleRate);
  }

  /** Resolves when all of it has been played, and shown. */
  async end() {
    const isWhole = await this.player.end();
    this.#show();
    if (isWhole) this.#words.light(Infinity);
  }

  /** Show a number that is not the player's. */
  say(name, text) {
    this.#numbers.say(name, text);
  }

  get firstMs() {
    return this.#numbers.firstMs;
  }

  #show() {
    this.#isDue = false;
    const {playedMs} = this.player;
    this.#words?.light(playedMs);
    this.#wave.played(playedMs);
    this.#wave.draw();
    this.#numbers.stands(this.player);
  }
}
