// The page: what the server can do, its two tabs, and the theme.

import {apiKey, ask, untilLetIn} from "/page/key.js";
import {speakTab} from "/page/speak.js";
import {makeTabs} from "/page/tabs.js";
import {talkTab} from "/page/talk.js";
import {Tiding} from "/page/tiding.js";

const LOOK_MS = 1500;
const by = (id) => document.getElementById(id);
const rest = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

theme();
const llmPort = document.documentElement.dataset.llmPort;
let code = null;

makeTabs(document.querySelector("header [role=tablist]"), (tab) => {
  for (const name of ["speak", "talk"]) by(`panel-${name}`).hidden = tab.id !== `tab-${name}`;
});
makeTabs(document.querySelector("#code [role=tablist]"), (tab) => {
  by("snippet").setAttribute("aria-labelledby", tab.id);
  showCode();
});
by("copy").addEventListener("click", async () => {
  await navigator.clipboard.writeText(by("snippet").textContent);
  by("copy").textContent = "Copied";
  setTimeout(() => (by("copy").textContent = "Copy"), 1500);
});

watchLlm();
await begin();

/** Wait for the voice, which may still be loading, then make the tabs. */
async function begin() {
  while (!(await (await fetch("/health")).json()).model_loaded) {
    notice("The voice is still being loaded. This takes a moment.");
    await rest(LOOK_MS);
  }
  notice("");
  await untilLetIn();
  const tiding = new Tiding(location.origin, {apiKey: apiKey()});
  const config = await (await ask("/v1/audio/config")).json();
  for (const voice of config.voices) {
    by("voice").add(new Option(voice, voice));
    by("talk-voice").add(new Option(voice, voice));
  }
  by("model").textContent = `Voice: ${config.model}`;
  speakTab(tiding, config, (snippets) => {
    code = snippets;
    showCode();
  });
  talkTab(tiding, `${location.protocol.replace("http", "ws")}//${location.hostname}:${llmPort}/ws`);
  document.documentElement.dataset.ready = "true";
}

/** The LLM server may be there later, or never: the talk tab says how far it is. */
async function watchLlm() {
  for (;;) {
    const {ready, detail} = await llmState();
    by("ask").disabled = !ready;
    by("llm-state").dataset.state = ready ? "ready" : "away";
    by("llm-state").textContent = ready ? "LLM: ready" : `LLM: not there yet. ${detail}`;
    if (ready) return;
    await rest(LOOK_MS);
  }
}

async function llmState() {
  try {
    return await (await fetch("/page/llm")).json();
  } catch {
    return {ready: false, detail: "The speech server does not answer."};
  }
}

function showCode() {
  const chosen = document.querySelector("#code [aria-selected=true]").id.replace("tab-", "");
  by("snippet").firstChild.textContent = code?.[chosen] ?? "";
}

function notice(text) {
  by("notice").textContent = text;
  by("notice").hidden = !text;
}

/** As the system has it, until somebody chooses. */
function theme() {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const told = () => document.dispatchEvent(new Event("themechange"));
  if (localStorage.theme) root.dataset.theme = localStorage.theme;
  dark.addEventListener("change", told);
  by("theme").addEventListener("click", () => {
    const isDark = (root.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark";
    root.dataset.theme = localStorage.theme = isDark ? "light" : "dark";
    told();
  });
}
