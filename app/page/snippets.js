// What was just done, as a program. Where the server asks for a key, the program asks for it too: the page's own stays here.

const origin = location.origin;
const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;
const js = (value) => JSON.stringify(value);
const py = (value) => JSON.stringify(value); // strings and numbers are written alike
const pyDict = (value) => `{${Object.entries(value).map(([name, each]) => `${py(name)}: ${py(each)}`).join(", ")}}`;
const play = (rate) => `ffplay -v error -nodisp -autoexit -f s16le -ar ${rate} -i -`;

const KEYED = {
  curl: ` -H "Authorization: Bearer $TIDING_API_KEY"`,
  import: "import os\n\n",
  token: `os.environ["TIDING_API_KEY"]`,
  line: `headers = {"Authorization": "Bearer " + os.environ["TIDING_API_KEY"]}\n`,
  option: ", headers=headers",
  socket: ", additional_headers=headers",
  given: `const apiKey = prompt("API key");\n`,
  headers: "const headers = {Authorization: `Bearer ${apiKey}`};\n",
  fetched: ", {headers}",
  sent: "\n  headers,",
};
const OPEN = {...Object.fromEntries(Object.keys(KEYED).map((piece) => [piece, ""])), token: `"-"`};

/** curl, Python and JavaScript for a request of the page. */
export function snippetsOf({mode, voice, speed, text}, isKeyed = false) {
  const manner = {voice, ...(speed === 1 ? {} : {speed})};
  return {batch, stream, adaptive, websocket}[mode](text, manner, isKeyed ? KEYED : OPEN);
}

function batch(text, manner, key) {
  const body = {input: text, ...manner};
  return {
    curl: `curl -s${key.curl} ${origin}/v1/audio/speech -o speech.mp3 \\\n  -d ${quoted(js(body))}`,
    python: `${key.import}from openai import OpenAI  # pip install openai

client = OpenAI(base_url="${origin}/v1", api_key=${key.token})
speech = client.audio.speech.create(
    model="tts-1", voice=${py(manner.voice)}, input=${py(text)}${manner.speed ? `, speed=${manner.speed}` : ""}
)
speech.write_to_file("speech.mp3")`,
    javascript: `${key.given}${key.headers}const response = await fetch("${origin}/v1/audio/speech", {
  method: "POST",${key.sent}
  body: JSON.stringify(${js(body)}),
});
new Audio(URL.createObjectURL(await response.blob())).play();`,
  };
}

function stream(text, manner, key) {
  const body = {input: text, ...manner};
  return {
    curl: `curl -sN${key.curl} ${origin}/v1/audio/speech/stream \\\n  -d ${quoted(js(body))} |\n  ${play(22050)}`,
    python: `${key.import}import httpx  # pip install httpx

${key.line}body = ${pyDict(body)}
url = "${origin}/v1/audio/speech/stream"
with httpx.stream("POST", url, json=body${key.option}) as response, open("speech.pcm", "wb") as file:
    for chunk in response.iter_bytes():
        file.write(chunk)  # 16 bits, mono, 22 050 Hz`,
    javascript: `${key.given}${key.headers}const response = await fetch("${origin}/v1/audio/speech/stream", {
  method: "POST",${key.sent}
  body: JSON.stringify(${js(body)}),
});
for await (const bytes of response.body) console.log(bytes.length); // 16 bits, mono, 22 050 Hz`,
  };
}

function adaptive(text, manner, key) {
  const curl = `curl -s${key.curl}`;
  return {
    curl: `stream=${origin}/v1/tts/stream/$(${curl} ${origin}/v1/tts/stream -d ${quoted(js(manner))} | cut -d '"' -f 4)
${curl} $stream/append -d ${quoted(js({text}))}
${curl} -X POST $stream/close
${curl} -N $stream/audio | ${play(22050)}`,
    python: `${key.import}import httpx  # pip install httpx

${key.line}with httpx.Client(base_url="${origin}"${key.option}) as client, open("speech.pcm", "wb") as file:
    stream = "/v1/tts/stream/" + client.post("/v1/tts/stream", json=${pyDict(manner)}).json()["stream_id"]
    client.post(f"{stream}/append", json=${pyDict({text})})
    client.post(f"{stream}/close")
    file.write(client.get(f"{stream}/audio").content)  # 16 bits, mono, 22 050 Hz`,
    javascript: `${key.given}${key.headers}const post = (path, body = {}) =>
  fetch("${origin}" + path, {method: "POST",${key.sent.replace("\n ", "")} body: JSON.stringify(body)});
const {stream_id: id, audio_url: url} = await (await post("/v1/tts/stream", ${js(manner)})).json();
await post(\`/v1/tts/stream/\${id}/append\`, ${js({text})});
await post(\`/v1/tts/stream/\${id}/close\`);
const audio = await fetch("${origin}" + url${key.fetched});
const samples = new Int16Array(await audio.arrayBuffer()); // mono, 22 050 Hz`,
  };
}

function websocket(text, manner, key) {
  const socket = `${origin.replace(/^http/, "ws")}/ws/tts/stream`;
  const init = {type: "init", ...manner, default_mode: "stream"};
  return {
    curl: `# curl has no WebSocket: this is the same speech, streamed over HTTP\n${stream(text, manner, key).curl}`,
    python: `import json
${key.import.trim()}${key.import && "\n"}from websockets.sync.client import connect  # pip install websockets

${key.line}with connect("${socket}"${key.socket}) as ws, open("speech.pcm", "wb") as file:
    ws.send(json.dumps(${pyDict(init)}))
    ws.send(json.dumps(${pyDict({type: "text", text})}))
    ws.send(json.dumps({"type": "close"}))
    while isinstance(message := ws.recv(), bytes) or '"done"' not in message:
        if isinstance(message, bytes):
            file.write(message)  # 16 bits, mono, 22 050 Hz`,
    javascript: `import {Tiding} from "${origin}/page/tiding.js";

${key.given}const tiding = new Tiding("${origin}"${key.given && ", {apiKey}"});
for await (const event of tiding.say(${js(text)}, ${js({...manner, default_mode: "stream"})})) {
  if (event.type === "audio") console.log(event.samples, event.sampleRate);
  if (event.type === "words") console.log(event.words);
}`,
  };
}
