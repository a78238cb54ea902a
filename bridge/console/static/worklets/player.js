// Plays a call: stereo frames of 20 ms, at 8 kHz or with G.722 at 16 kHz, kept back a little, each lane at its own volume to both ears.

const KEPT_BACK = 0.08;
const MOST = 0.6;
const FRAMES_A_SECOND = 50;

class CallPlayer extends AudioWorkletProcessor {
  constructor() {
    super();
    this.hz = 8000;
    this.lanes = [new Float32Array(32000), new Float32Array(32000)];
    this.written = 0;
    this.read = 0;
    this.playing = false;
    this.volumes = { caller: 1, agent: 1 };
    this.levels = [0, 0];
    this.quanta = 0;
    this.port.onmessage = ({ data }) => {
      if (data.volumes) this.volumes = data.volumes;
      if (data.frame) this.take(data.frame);
    };
  }

  take(frame) {
    const samples = new Int16Array(frame, 8);
    const size = this.lanes[0].length;
    this.hz = samples.length / 2 * FRAMES_A_SECOND;
    for (let i = 0; i + 1 < samples.length; i += 2) {
      const at = this.written % size;
      this.lanes[0][at] = samples[i] / 32768;
      this.lanes[1][at] = samples[i + 1] / 32768;
      this.written += 1;
    }
    if (this.written - this.read > MOST * this.hz) this.read = this.written - KEPT_BACK * this.hz;
  }

  process(_inputs, [output]) {
    const step = this.hz / sampleRate;
    const size = this.lanes[0].length;
    if (!this.playing && this.written - this.read >= KEPT_BACK * this.hz) this.playing = true;
    for (let i = 0; i < output[0].length; i += 1) {
      let mixed = 0;
      if (this.playing) {
        const at = Math.floor(this.read);
        if (at + 1 >= this.written) { this.playing = false; } else {
          const part = this.read - at;
          for (let lane = 0; lane < 2; lane += 1) {
            const row = this.lanes[lane];
            const value = row[at % size] * (1 - part) + row[(at + 1) % size] * part;
            this.levels[lane] = Math.max(this.levels[lane] * 0.9997, Math.abs(value));
            mixed += value * (lane ? this.volumes.agent : this.volumes.caller);
          }
          this.read += step;
        }
      }
      for (const channel of output) channel[i] = Math.max(-1, Math.min(1, mixed));
    }
    this.quanta += 1;
    if (this.quanta % 40 === 0) this.port.postMessage({ caller: this.levels[0], agent: this.levels[1] });
    return true;
  }
}

registerProcessor("call-player", CallPlayer);
