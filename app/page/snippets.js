// What was just done, as a program.

const origin = location.origin;
const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;
const play = (rate) => `ffplay -v error -nodisp -autoexit -f s16le -ar ${rate} -i -`;

/** curl, Python and JavaScript for a request of the page. */
export function snippetsOf({mode, voice, speed, text}) {
  const manner = {voice, ...(speed === 1 ? {} : {speed})};
  return {batch, stream, adaptive, websocket}[mode](text, manner);
}

function batch(text, manner) {
  const body = {input: text, ...manner};
  return {
    curl: `curl -s ${origin}/v1/audio/speech -o speech.mp3 \\\n  -d ${quoted(JSON.stringify(body))}`,
    python: `from openai import OpenAI  # pip install openai

client = OpenAI(base_url="${origin}/v1", api_key="-")
speech = client.audio.speech.create(
    model="tts-1", voice=${py(manner.voice)}, input=${py(text)}${manner.speed ? `, speed=${manner.speed}` : ""}
)
speech.write_to_file("speech.mp3")`,
    javascript: `const response = await fetch("${origin}/v1/audio/speech", {
  method: "POST",
  body: JSON.stringify(${js(body)}),
});
new Audio(URL.createObjectURL(await response.blob())).play();`,
  };
}

function stream(text, manner) {
  const body = {input: text, ...manner};
  return {
    curl: `curl -sN ${origin}/v1/audio/speech/stream \\\n  -d ${quoted(JSON.stringify(body))} |\n  ${play(22050)}`,
    python: `import httpx  # pip install httpx

body = ${pyDict(body)}
with httpx.stream("POST", "${origin}/v1/audio/speech/stream", json=body) as response, open("speech.pcm", "wb") as file:
    for chunk in response.iter_bytes():
        file.write(chunk)  # 16 bits, mono, 22 050 Hz`,
    javascript: `const response = await fetch("${origin}/v1/audio/speech/stream", {
  method: "POST",
  body: JSON.stringify(${js(body)}),
});
for await (const bytes of response.body) console.log(bytes.length); // 16 bits, mono, 22 050 Hz`,
  };
}

function adaptive(text, manner) {
  return {
    curl: `stream=${origin}/v1/tts/stream/$(curl -s ${origin}/v1/tts/stream -d ${quoted(JSON.stringify(manner))} | cut -d '"' -f 4)
curl -s $stream/append -d ${quoted(JSON.stringify({text}))}
curl -s -X POST $stream/close
curl -sN $stream/audio | ${play(22050)}`,
    python: `import httpx  # pip install httpx

with httpx.Client(base_url="${origin}") as client, open("speech.pcm", "wb") as file:
    stream = "/v1/tts/stream/" + client.post("/v1/tts/stream", json=${pyDict(manner)}).json()["stream_id"]
    client.post(f"{stream}/append", json=${pyDict({text})})
    client.post(f"{stream}/close")
    file.write(client.get(f"{stream}/audio").content)  # 16 bits, mono, 22 050 Hz`,
    javascript: `const post = (path, body = {}) => fetch("${origin}" + path, {method: "POST", body: JSON.stringify(body)});
const {stream_id: id, audio_url: url} = await (await post("/v1/tts/stream", ${js(manner)})).json();
await post(\`/v1/tts/stream/\${id}/append\`, ${js({text})});
await post(\`/v1/tts/stream/\${id}/close\`);
const samples = new Int16Array(await (await fetch("${origin}" + url)).arrayBuffer()); // mono, 22 050 Hz`,
  };
}

function websocket(text, manner) {
  const socket = `${origin.replace(/^http/, "ws")}/ws/tts/stream`;
  const init = {type: "init", ...manner, default_mode: "stream"};
  return {
    curl: `# curl has no WebSocket: this is the same speech, streamed over HTTP\n${stream(text, manner).curl}`,
    python: `import json
from websockets.sync.client import connect  # pip install websockets

with connect("${socket}") as ws, open("speech.pcm", "wb") as file:
    ws.send(json.dumps(${pyDict(init)}))
    ws.send(json.dumps(${pyDict({type: "text", text})}))
    ws.send(json.dumps({"type": "close"}))
    while isinstance(message := ws.recv(), bytes) or '"done"' not in message:
        if isinstance(message, bytes):
            file.write(message)  # 16 bits, mono, 22 050 Hz`,
    javascript: `import {Tiding} from "${origin}/page/tiding.js";

const tiding = new Tiding("${origin}");
for await (const event of tiding.say(${js(text)}, ${js({...manner, default_mode: "stream"})})) {
  if (event.type === "audio") console.log(event.samples, event.sampleRate);
  if (event.type === "words") console.log(event.words);
}`,
  };
}

const js = (value) => JSON.stringify(value);
const py = (value) => JSON.stringify(value); // strings and numbers are written alike
const pyDict = (value) => `{${Object.entries(value).map(([name, each]) => `${py(name)}: ${py(each)}`).join(", ")}}`;
