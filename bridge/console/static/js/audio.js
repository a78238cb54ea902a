// Listening to a call and talking to its caller. Frames as in the API: listen: uint32 seq, uint32 ms
// since the answer, 20 ms of int16 LE stereo (caller, agent), 8 or 16 kHz; talk: the same head, mono at 24 kHz.

import { post, Refused, user } from "./api.js";
import { fill, h, toast } from "./dom.js";
import { keep, kept } from "./prefs.js";

const CALL_OVER = 4410;
const GRACE_MS = 10000;  // as long as the call waits for who has its caller
const AGAIN_MS = 1000;
// RFC 6455 section 7.4.1: the server goes, without a word, or starts anew; 4502: the call's node was not reached.
const LOST = new Set([1001, 1006, 1012, 4502]);
const UNREACHED = new Set([0, 502, 503, 504]);
const LANES = [["caller", "Caller"], ["agent", "AI"]];


/** Kinds of listening, and what is said of each. */
export const LISTENING = {
  listen: "You are listening. Nobody on the call knows.",
  listen_private: "You are listening. Nobody on the call knows, and no other supervisor.",
};

/** Who hears the microphone that is connected, by how the call is held. */
const HEARD = {
  talking: "The caller hears you. The AI is silent.",
  joined: "The caller and the AI hear you.",
  on_hold: "The caller is on hold: they hear tones, not you.",
  awaited: "The caller hears tones until your microphone is there.",
  paused: "The AI is paused: the caller hears tones, not you.",
};
const MUTED = "You are muted: nobody hears you.";
const AWAY = "Your microphone is not connected: nobody hears you.";
const ELSEWHERE = "The caller hears you by another way than this page.";

export class Listening {
  constructor(callId, kind, element, { row, onEnd, onVoice }) {
    Object.assign(this, { callId, kind, element, row, onEnd, onVoice, socket: null, voice: null, stream: null, context: null, over: false });
    this.volumes = kept("volumes", { caller: 1, agent: 1 });
    this.status = h("b", { text: "Connecting…" });
    this.meters = {};
    fill(element, h("div", { class: "spread" }, this.status), LANES.map(([name, text]) => {
      this.meters[name] = h("meter", { min: 0, max: 1, value: 0, "aria-label": `Level of the ${text}` });
      const slider = h("input", { type: "range", min: 0, max: 2, step: 0.05, "aria-label": `Volume of the ${text}`, oninput: () => this.#volume(name, Number(slider.value)) });
      slider.value = this.volumes[name];
      return h("label", { class: "lane" }, text, this.meters[name], slider, h("output", { dataset: { of: name }, text: `${Math.round(this.volumes[name] * 100)} %` }));
    }));
  }

  #volume(name, value) {
    this.volumes[name] = value;
    keep("volumes", this.volumes);
    this.element.querySelector(`output[data-of="${name}"]`).textContent = `${Math.round(value * 100)} %`;
    this.player?.port.postMessage({ volumes: this.volumes });
  }

  /** Whether a microphone is connected, or being connected again. */
  get talks() { return this.stream !== null; }

  /** Take what is known of the call. */
  update(row) {
    this.row = row;
    this.#tell();
  }

  /** Say who hears whom, whichever of both connections came up, or was lost, last. */
  #tell() {
    const open = this.voice?.readyState === WebSocket.OPEN;
    this.element.classList.toggle("talking", open && !this.row.muted && ["talking", "joined"].includes(this.row.hold));
    this.status.textContent = this.#said(open, this.row);
  }

  #said(open, { hold = "", muted, held_by: holder }) {
    const hears = this.socket?.readyState === WebSocket.OPEN;
    if (open) return muted && hold !== "on_hold" ? MUTED : HEARD[hold] ?? LISTENING[this.kind];
    // Who believes to be heard has to know first that they are not.
    if (this.talks || (hears && holder === user && ["awaited", "joined"].includes(hold))) return AWAY;
    if (!hears) return this.lostAt ? "The connection was lost. Connecting again…" : "Connecting…";
    return holder === user && hold === "talking" ? ELSEWHERE : LISTENING[this.kind];
  }

  /** Return a connection; null where it is refused, or was not to be had for too long. */
  async #open(kind) {
    for (;;) {
      try {
        const token = await post(`/calls/${this.callId}/audio-token`, { kind });
        const url = new URL(token.url, location.href);
        url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
        const socket = new WebSocket(url);
        socket.binaryType = "arraybuffer";
        return socket;
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        if (!UNREACHED.has(error.status) || !this.#triesAgain()) { toast(error.message, "bad"); return null; }
        await new Promise((done) => setTimeout(done, AGAIN_MS));
        if (this.over) return null;
      }
    }
  }

  async listen() {
    this.context = new AudioContext({ latencyHint: "interactive" });
    await this.context.audioWorklet.addModule("/static/worklets/player.js");
    this.player = new AudioWorkletNode(this.context, "call-player", { numberOfInputs: 0, outputChannelCount: [2] });
    this.player.port.postMessage({ volumes: this.volumes });
    this.player.port.onmessage = ({ data }) => { for (const [name] of LANES) this.meters[name].value = data[name]; };
    this.player.connect(this.context.destination);
    await this.#hear();
  }

  /** Connect what is heard; again, if the connection is lost. */
  async #hear() {
    this.socket = await this.#open(this.kind);
    if (!this.socket || this.over) { this.close(); return; }
    this.socket.onopen = () => { this.lostAt = null; this.#tell(); };
    this.socket.onmessage = ({ data }) => {
      this.frames = (this.frames ?? 0) + 1;
      this.element.dataset.frames = String(this.frames);
      this.player.port.postMessage({ frame: data }, [data]);
    };
    this.socket.onclose = ({ code, reason }) => {
      if (this.over) return;
      if (code === CALL_OVER) { toast("The call is over."); this.close(true); return; }
      if (LOST.has(code) && this.#triesAgain()) { this.#tell(); this.#later(() => this.#hear()); return; }
      toast(reason || "The audio has ended.", code === 1000 ? "" : "bad");
      this.close();
    };
  }

  /** Return whether what was lost is still tried again: as long as a caller waits for it. */
  #triesAgain() {
    this.lostAt ??= performance.now();
    return performance.now() - this.lostAt < GRACE_MS;
  }

  #later(act) { setTimeout(() => { if (!this.over) act(); }, AGAIN_MS); }

  /** Send a microphone to the call; one that is sent already makes room. */
  async talk(stream) {
    this.mute();
    this.stream = stream;
    this.micContext = new AudioContext({ sampleRate: 24000 });
    await this.micContext.audioWorklet.addModule("/static/worklets/microphone.js");
    if (this.stream !== stream) return;
    const node = new AudioWorkletNode(this.micContext, "microphone", { numberOfOutputs: 0 });
    this.micContext.createMediaStreamSource(stream).connect(node);
    let seq = 0;
    const began = performance.now();
    node.port.onmessage = ({ data }) => {
      if (this.voice?.readyState !== WebSocket.OPEN || this.voice.bufferedAmount > 20000) return;
      const head = new DataView(data);
      head.setUint32(0, seq, true);
      head.setUint32(4, performance.now() - began, true);
      seq += 1;
      this.voice.send(data);
    };
    await this.#speak(stream);
    this.onVoice?.();
  }

  /** Connect the microphone; again, if its connection is lost. */
  async #speak(stream) {
    const voice = await this.#open("talk");
    if (this.stream !== stream) { voice?.close(); return; }
    if (!voice) { this.mute(); return; }
    this.voice = voice;
    voice.onopen = () => { this.lostAt = null; this.#tell(); };
    voice.onclose = ({ code }) => {
      if (this.voice !== voice) return;
      this.#tell();
      if (LOST.has(code) && this.#triesAgain()) { this.#later(() => { if (this.stream === stream) this.#speak(stream); }); return; }
      toast("Your microphone is not heard any more.", "bad");
      this.mute();
    };
  }

  /** Stop sending the microphone. */
  mute() {
    const voice = this.voice;
    this.stream?.getTracks().forEach((track) => track.stop());
    this.stream = this.voice = null;
    voice?.close();
    this.micContext?.close();
    this.micContext = null;
    this.#tell();
    this.onVoice?.();
  }

  /** `callOver`: because there is nothing to be heard any more. */
  close(callOver = false) {
    if (this.over) return;
    this.over = true;
    this.mute();
    this.socket?.close();
    this.context?.close();
    this.onEnd?.(callOver);
  }
}
