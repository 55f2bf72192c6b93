// The pausable LLM of port 8002: one answer after the other, chunk by chunk.

import {apiKey} from "/page/key.js";
import {openSocket, TidingError} from "/page/tiding.js";

/** One answer. `ontoken` is called with each piece of text, `onheld` when a chunk ends and the LLM waits to go on. */
export class Answer {
  #socket;
  #id = `page-${Date.now()}-${Math.random().toString(36).slice(2)}`;
  #resolve;
  #reject;
  ontoken = () => {};
  onheld = () => {};

  constructor(url, messages) {
    this.isWriting = false;
    this.isOver = false;
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#socket = openSocket(url, apiKey());
    this.#socket.onopen = () => this.#write("start_stream", {messages, stream_tokens: true});
    this.#socket.onmessage = ({data}) => this.#hear(JSON.parse(data));
    this.#socket.onclose = () => this.#end(new TidingError("the connection to the LLM server was lost", "connection_lost"));
  }

  /** Write the next sentence. */
  goOn() {
    if (!this.isWriting && !this.isOver) this.#write("continue_stream", {});
  }

  /** Stop at the next token; nothing is lost. */
  pause() {
    if (this.isWriting && !this.isOver) this.#send("pause_stream", {});
  }

  /** End it at the next token. */
  cancel() {
    if (this.isOver) return;
    this.#send("cancel_stream", {});
    this.#end();
  }

  #hear(event) {
    if (event.error) this.#end(new TidingError(event.error, event.code));
    else if (event.type === "token") this.ontoken(event.content);
    else if (event.type === "paused") {
      this.isWriting = false;
      this.onheld(event.reason);
    } else if (event.type === "done") this.#end();
  }

  #write(action, fields) {
    this.isWriting = true;
    this.#send(action, {...fields, pause: {sentence_boundary: true}});
  }

  #send(action, fields) {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify({action, stream_id: this.#id, ...fields}));
  }

  #end(error) {
    if (this.isOver) return;
    this.isOver = true;
    this.isWriting = false;
    this.#socket.onclose = null;
    this.#socket.close();
    if (error) this.#reject(error);
    else this.#resolve();
  }
}
