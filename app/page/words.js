// A text whose words light up as they are spoken.

const ROUNDED_MS = 1; // at another rate than the voice's own, audio is a part of a sample shorter than its words

export class Words {
  #element;
  #chars = []; // of the text: the server counts code points
  #spans = []; // of words whose times are known, in order
  #end = 0; // of the text, as far as it is in spans
  #rest = null; // the element of what is not

  /** `element` gets the text, and after it what has no times yet. */
  constructor(element) {
    this.#element = element;
    this.#element.replaceChildren();
  }

  get text() {
    return this.#chars.join("");
  }

  /** More of the text. */
  write(text) {
    this.#chars.push(...text);
    this.#showRest();
  }

  /** Times of words, as the server sends them. */
  time(words) {
    this.#rest?.remove();
    for (const word of words) {
      if (word.char_start < this.#end) continue;
      this.#element.append(this.#slice(this.#end, word.char_start));
      const span = document.createElement("span");
      span.textContent = this.#slice(word.char_start, word.char_end);
      span.className = "word";
      this.#element.append(span);
      this.#spans.push({...word, span});
      this.#end = word.char_end;
    }
    this.#showRest();
  }

  /** So much has been played. */
  light(playedMs) {
    for (const {span, start_ms: startMs, end_ms: endMs} of this.#spans) {
      const state = playedMs >= endMs - ROUNDED_MS ? "spoken" : playedMs >= startMs ? "now" : "";
      if ((span.dataset.state ?? "") !== state) span.dataset.state = state;
    }
  }

  /** So much of the text was heard, and no more will be. */
  cut(spoken) {
    this.#rest = null;
    const heard = Object.assign(document.createElement("span"), {textContent: spoken});
    heard.className = "heard";
    const unheard = Object.assign(document.createElement("del"), {textContent: this.text.slice(spoken.length)});
    const mark = Object.assign(document.createElement("span"), {className: "cut", title: "interrupted here"});
    mark.setAttribute("role", "img");
    mark.setAttribute("aria-label", "interrupted here");
    this.#element.replaceChildren(heard, mark, unheard);
    this.#spans = [];
  }

  #slice(start, end) {
    return this.#chars.slice(start, end).join("");
  }

  #showRest() {
    this.#rest?.remove();
    this.#rest = Object.assign(document.createElement("span"), {textContent: this.#slice(this.#end), className: "rest"});
    this.#element.append(this.#rest);
  }
}
