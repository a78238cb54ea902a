// Cuts a microphone into frames of 20 ms: 8 bytes for the head, then int16 LE mono at 24 kHz.

const FRAME = 480;

class Microphone extends AudioWorkletProcessor {
  constructor() {
    super();
    this.fresh();
  }

  fresh() {
    this.frame = new ArrayBuffer(8 + 2 * FRAME);
    this.view = new DataView(this.frame);
    this.filled = 0;
  }

  process([input]) {
    const channel = input[0];
    if (!channel) return true;
    for (const sample of channel) {
      this.view.setInt16(8 + 2 * this.filled, Math.max(-1, Math.min(1, sample)) * 32767, true);
      this.filled += 1;
      if (this.filled === FRAME) {
        this.port.postMessage(this.frame, [this.frame]);
        this.fresh();
      }
    }
    return true;
  }
}

registerProcessor("microphone", Microphone);
