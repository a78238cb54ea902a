// Listening to a call and talking to its caller. Frames as in the API: listen: uint32 seq, uint32 ms
// since the answer, int16 LE stereo (caller, agent) at 8 kHz; talk: the same head, mono at 24 kHz.

import { attempt, post } from "./api.js";
import { fill, h, toast } from "./dom.js";
import { keep, kept } from "./prefs.js";

const CALL_OVER = 4410;
const LANES = [["caller", "Caller"], ["agent", "AI"]];


/** Kinds of listening, and what is said of each. */
export const LISTENING = {
  listen: "You are listening. Nobody on the call knows.",
  listen_private: "You are listening. Nobody on the call knows, and no other supervisor.",
};

export class Listening {
  constructor(callId, kind, element, onEnd) {
    Object.assign(this, { callId, kind, element, onEnd, socket: null, mic: null, context: null, over: false });
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

  /** Say who is live, whichever of both connections came up last. */
  #tell() {
    const talking = this.voice?.readyState === WebSocket.OPEN;
    this.element.classList.toggle("talking", talking);
    this.status.textContent = talking ? "The caller hears you. The AI is silent." : LISTENING[this.kind];
  }

  async #open(kind) {
    const token = await attempt(post(`/calls/${this.callId}/audio-token`, { kind }));
    if (!token) return null;
    const url = new URL(token.url, location.href);
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(url);
    socket.binaryType = "arraybuffer";
    return socket;
  }

  async listen() {
    this.context = new AudioContext({ latencyHint: "interactive" });
    await this.context.audioWorklet.addModule("/static/worklets/player.js");
    this.player = new AudioWorkletNode(this.context, "call-player", { numberOfInputs: 0, outputChannelCount: [2] });
    this.player.port.postMessage({ volumes: this.volumes });
    this.player.port.onmessage = ({ data }) => { for (const [name] of LANES) this.meters[name].value = data[name]; };
    this.player.connect(this.context.destination);
    this.socket = await this.#open(this.kind);
    if (!this.socket || this.over) { this.close(); return; }
    this.socket.onopen = () => this.#tell();
    this.socket.onmessage = ({ data }) => {
      this.frames = (this.frames ?? 0) + 1;
      this.element.dataset.frames = String(this.frames);
      this.player.port.postMessage({ frame: data }, [data]);
    };
    this.socket.onclose = (event) => { if (!this.over) { toast(event.code === CALL_OVER ? "The call is over." : event.reason || "The audio has ended.", [1000, CALL_OVER].includes(event.code) ? "" : "bad"); this.close(event.code === CALL_OVER); } };
  }

  /** Send a microphone to the caller. */
  async talk(stream) {
    this.stream = stream;
    this.voice = await this.#open("talk");
    if (!this.voice) { this.mute(); return; }
    this.voice.onopen = () => this.#tell();  // at once: it may open, or close, before the worklet is here
    this.voice.onclose = () => { if (this.stream) { toast("Your microphone is not heard any more.", "bad"); this.mute(); } };
    this.micContext = new AudioContext({ sampleRate: 24000 });
    await this.micContext.audioWorklet.addModule("/static/worklets/microphone.js");
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
  }

  /** Stop sending the microphone. */
  mute() {
    this.stream?.getTracks().forEach((track) => track.stop());
    this.stream = null;
    this.voice?.close();
    this.voice = null;
    this.micContext?.close();
    this.micContext = null;
    this.#tell();
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
