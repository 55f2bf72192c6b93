// The tab that asks the LLM and speaks the answer while it is being written. The LLM is held while enough speech waits
// to be played, and what an interruption left unheard does not stay in the conversation.

import {Answer} from "/page/llm.js";
import {Stage} from "/page/stage.js";
import {Words} from "/page/words.js";

const AHEAD_MS = 3000; // of speech that has not been played: above it the LLM waits
const MS_PER_CHAR = 65; // of speech, for text that has not come back as sound
const LOOK_MS = 50;
const by = (id) => document.getElementById(id);

export function talkTab(tiding, llmUrl) {
  const stage = new Stage("talk", ["first", "buffer", "underruns", "held"]);
  const history = [];
  let current = null;

  by("talk-form").addEventListener("submit", (event) => {
    event.preventDefault();
    ask(by("question").value.trim());
  });
  by("question").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      by("talk-form").requestSubmit();
    }
  });
  by("talk-stop").addEventListener("click", () => current?.stop());
  by("talk-pause").addEventListener("click", () => current?.togglePause());
  document.addEventListener("keydown", (event) => event.key === "Escape" && current?.stop());

  async function ask(question) {
    if (!question || by("ask").disabled) return;
    await current?.stop();
    await stage.player.open();
    by("question").value = "";
    say("you", question);
    history.push({role: "user", content: question});
    const turn = new Turn(tiding, llmUrl, stage, [...history], say("tiding", ""));
    current = turn;
    const heard = await turn.run();
    if (heard.trim()) history.push({role: "assistant", content: heard});
    if (current === turn) current = null;
  }

  function say(who, text) {
    by("transcript").querySelector(".hint")?.remove();
    const line = document.createElement("p");
    line.className = `said ${who}`;
    line.textContent = text;
    by("transcript").append(line);
    by("transcript").scrollTop = by("transcript").scrollHeight;
    return line;
  }
}

/** One question and its answer. */
class Turn {
  #answer;
  #utterance;
  #stage;
  #words;
  #line;
  #isStopped = false;
  #isPaused = false;
  #cancelled = null;
  #timer;
  #numCharsCome = 0; // of the text, as sound
  #heldMs = 0;

  constructor(tiding, llmUrl, stage, messages, line) {
    this.#stage = stage;
    this.#line = line;
    this.#words = new Words(line);
    stage.begin(this.#words);
    this.#utterance = tiding.open({voice: by("talk-voice").value, sample_rate: stage.player.wantedHz, default_mode: "stream"});
    this.#answer = new Answer(llmUrl, messages);
    this.#answer.ontoken = (text) => this.#write(text);
    this.#answer.onheld = () => this.#utterance.flush();
  }

  /** All of it. What was heard. */
  async run() {
    this.#buttons(true);
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
    status("Thinking");
    try {
      const listening = this.#listen();
      const writing = this.#answer.done.then(() => this.#utterance.finish());
      await Promise.all([writing, listening]);
      if (!this.#isStopped) await this.#stage.end();
      status(this.#isStopped ? "Interrupted" : "Spoken");
    } catch (error) {
      this.#answer.cancel();
      this.#utterance.cancel();
      status(this.#isStopped ? "Interrupted" : error.message);
    } finally {
      clearInterval(this.#timer);
      this.#buttons(false);
      state("done", "LLM: waiting for you");
    }
    return this.#heard();
  }

  /** Barge-in: silence first, then both servers, then what was heard. */
  async stop() {
    if (this.#isStopped) return;
    this.#isStopped = true;
    const {playedMs} = this.#stage.player;
    this.#stage.player.stop();
    this.#answer.cancel();
    this.#cancelled = await this.#utterance.cancel(playedMs);
    this.#words.cut(this.#cancelled?.text_spoken ?? "");
  }

  /** Hold both, or let both go on. */
  async togglePause() {
    this.#isPaused = !this.#isPaused;
    by("talk-pause").textContent = this.#isPaused ? "Resume" : "Pause";
    by("talk-pause").setAttribute("aria-pressed", String(this.#isPaused));
    if (this.#isPaused) {
      this.#answer.pause();
      await this.#stage.player.pause();
    } else {
      await this.#stage.player.resume();
    }
    this.#look();
  }

  #write(text) {
    this.#words.write(text);
    this.#utterance.write(text);
    this.#line.parentElement.scrollTop = this.#line.parentElement.scrollHeight;
  }

  async #listen() {
    for await (const event of this.#utterance) {
      if (this.#isStopped) continue;
      if (event.type === "audio" && this.#stage.firstMs === null) status("Speaking");
      this.#stage.take(event);
      if (event.type === "words") this.#numCharsCome = event.words.at(-1).char_end;
    }
  }

  /** What is here and what is on its way. */
  get #aheadMs() {
    return this.#stage.player.bufferedMs + MS_PER_CHAR * Math.max(0, this.#words.text.length - this.#numCharsCome);
  }

  #look() {
    if (!this.#answer.isWriting && !this.#answer.isOver) {
      this.#heldMs += LOOK_MS;
      this.#stage.say("held", `${(this.#heldMs / 1000).toFixed(1)} s`);
    }
    const ahead = `${(this.#aheadMs / 1000).toFixed(1)} s ahead of the voice`;
    if (this.#answer.isOver) return state("done", "LLM: has written it all");
    if (this.#isPaused) return state("held", this.#answer.isWriting ? "LLM: pausing" : "LLM: held by you");
    if (this.#answer.isWriting) return state("writing", "LLM: writing");
    if (this.#aheadMs > AHEAD_MS) return state("held", `LLM: held, ${ahead}`);
    this.#answer.goOn();
    return state("writing", "LLM: writing");
  }

  #heard() {
    if (!this.#isStopped) return this.#words.text;
    return this.#cancelled?.text_spoken ?? "";
  }

  #buttons(isRunning) {
    by("ask").disabled = false;
    by("talk-stop").disabled = by("talk-pause").disabled = !isRunning;
    by("talk-pause").textContent = "Pause";
    by("talk-pause").setAttribute("aria-pressed", "false");
  }
}

function status(text) {
  by("talk-status").textContent = text;
}

function state(name, text) {
  if (by("llm-state").dataset.state !== name) by("llm-state").dataset.state = name;
  if (by("llm-state").textContent !== text) by("llm-state").textContent = text;
}
