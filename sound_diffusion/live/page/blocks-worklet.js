/**
 * Runs where the sound is: gathers what its input hears, mixed to mono, into blocks of a little over 20 ms, and posts
 * each with the clock of its first sample.
 */

const BLOCK_SECONDS = 0.02;
const QUANTUM = 128; // samples of one call of process

class Blocks extends AudioWorkletProcessor {
  constructor() {
    super();
    this.length = QUANTUM * Math.ceil((BLOCK_SECONDS * sampleRate) / QUANTUM);
    this.ended = false;
    this.port.onmessage = () => {
      this.ended = true;
    };
    this.begin();
  }

  begin() {
    this.samples = new Float32Array(this.length);
    this.filled = 0;
    this.clock = currentTime;
  }

  /** @param {Float32Array[][]} inputs */
  process([channels]) {
    if (this.filled === 0) this.clock = currentTime;
    for (const channel of channels) {
      for (let i = 0; i < QUANTUM; i++) this.samples[this.filled + i] += channel[i] / channels.length;
    }
    this.filled += QUANTUM;
    if (this.filled === this.length) {
      this.port.postMessage({ clock: this.clock, samples: this.samples }, [this.samples.buffer]);
      this.begin();
    }
    return !this.ended;
  }
}

registerProcessor("blocks", Blocks);
