// The tab that speaks a text, in any mode and voice.

import {speakOverHttp} from "/page/http.js";
import {apiKey} from "/page/key.js";
import {snippetsOf} from "/page/snippets.js";
import {Stage} from "/page/stage.js";
import {Words} from "/page/words.js";

const MODES = {
  websocket: "WebSocket: heard as it is made, with word times",
  stream: "Stream: chunked over HTTP",
  adaptive: "Adaptive: text appended word by word",
  batch: "Batch: OpenAI's endpoint, as events",
};
const by = (id) => document.getElementById(id);

export function speakTab(tiding, config, onRequest) {
  const stage = new Stage("speak", ["first", "buffer", "underruns", "rtf"]);
  let current = null;

  for (const mode of Object.keys(MODES).filter((name) => config.modes.includes(name))) by("mode").add(new Option(MODES[mode], mode));
  by("speed").addEventListener("input", () => (by("speed-said").value = `${by("speed").value}×`));
  for (const id of ["mode", "voice", "speed", "text"]) by(id).addEventListener("input", () => show(request()));
  by("speak-form").addEventListener("submit", (event) => {
    event.preventDefault();
    speak(request());
  });
  by("text").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) by("speak-form").requestSubmit();
  });
  by("speak-stop").addEventListener("click", () => current?.stop());
  show(request());
  tiding.connect(); // so that the first word need not wait for it

  function request() {
    return {mode: by("mode").value, voice: by("voice").value, speed: Number(by("speed").value), text: by("text").value};
  }

  function show(asked) {
    onRequest(snippetsOf(asked, apiKey() !== ""));
  }

  async function speak(asked) {
    current?.stop();
    if (!asked.text.trim()) return say("There is nothing to speak yet.");
    const words = new Words(by("speak-words"));
    words.write(asked.text);
    show(asked);
    await stage.player.open();
    const run = begin(asked, words);
    current = run;
    by("speak-stop").disabled = false;
    say("Speaking");
    const end = await run.done;
    if (current !== run) return;
    by("speak-stop").disabled = true;
    say(end);
  }

  /** What is being spoken: `done` is how it ended, in a word. */
  function begin(asked, words) {
    stage.begin(words);
    const source = sourceOf(asked);
    let isStopped = false;
    const stop = () => {
      if (isStopped) return;
      isStopped = true;
      const {playedMs} = stage.player;
      stage.player.stop();
      source.cancel(playedMs);
    };
    const listen = async () => {
      try {
        for await (const event of source.events) if (!isStopped) stage.take(event);
        if (!isStopped) await stage.end();
      } catch (error) {
        if (!isStopped) return error.message;
      }
      return isStopped ? "Stopped" : "Spoken";
    };
    return {stop, done: listen()};
  }

  function sourceOf({mode, voice, speed, text}) {
    const manner = {voice, speed, sample_rate: stage.player.wantedHz};
    if (mode === "websocket") {
      const utterance = tiding.say(text, {...manner, default_mode: "stream", send_rate: 0});
      return {events: utterance, cancel: (playedMs) => utterance.cancel(playedMs)};
    }
    const stop = new AbortController();
    return {events: speakOverHttp(mode, text, manner, stop.signal), cancel: () => stop.abort()};
  }

  function say(text) {
    by("speak-status").textContent = text;
  }
}
