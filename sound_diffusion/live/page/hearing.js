/** Hearing: the audio context, and blocks of mono samples from whatever source is connected. */

const STALE_SECONDS = 0.25; // a block that has waited longer for this page, which was stalled, is of no use
const PROCESSOR_SAMPLES = 1024; // of a block where there are no worklets

/**
 * @callback OnBlock
 * @param {number} clock of the first sample, in seconds of the audio context
 * @param {Float32Array} samples mono, in [-1, 1]
 */

export class Hearing {
  /** @param {OnBlock} onBlock */
  constructor(onBlock) {
    this.onBlock = onBlock;
    this.dropped = 0;
    /** @type {AudioContext | null} */
    this.context = null;
    this.ear = null;
    this.source = null;
  }

  /** Return the audio context, which a browser lets play only after a gesture. */
  async wake() {
    if (!this.context) {
      this.context = new AudioContext({ latencyHint: "interactive" });
      await this.context.audioWorklet?.addModule("blocks-worklet.js");
    }
    await this.context.resume();
    return this.context;
  }

  /** Seconds of the clock that blocks carry. */
  get now() {
    return this.context ? this.context.currentTime : 0;
  }

  /** @param {AudioNode} node what is heard from now on */
  connect(node) {
    this.disconnect();
    this.source = node;
    this.ear = this.context.audioWorklet ? this.worklet() : this.processor();
    node.connect(this.ear);
  }

  disconnect() {
    if (!this.source) return;
    this.source.disconnect(this.ear);
    this.ear.close();
    this.source = this.ear = null;
  }

  worklet() {
    const ear = new AudioWorkletNode(this.context, "blocks", { numberOfOutputs: 0 });
    ear.port.onmessage = ({ data }) => this.hear(data.clock, data.samples);
    ear.close = () => {
      ear.port.onmessage = null;
      ear.port.postMessage("end");
    };
    return ear;
  }

  /** The same without a worklet, which browsers keep to secure contexts: a page from another machine by plain http. */
  processor() {
    const ear = this.context.createScriptProcessor(PROCESSOR_SAMPLES, 2, 1);
    ear.onaudioprocess = ({ inputBuffer }) => {
      const [left, right] = [inputBuffer.getChannelData(0), inputBuffer.getChannelData(1)];
      this.hear(this.now - inputBuffer.duration, left.map((sample, i) => (sample + right[i]) / 2));
    };
    ear.connect(this.context.destination); // it is silent, and does not run otherwise
    ear.close = () => {
      ear.onaudioprocess = null;
      ear.disconnect();
    };
    return ear;
  }

  hear(clock, samples) {
    if (this.now - clock > STALE_SECONDS) this.dropped++;
    else this.onBlock(clock, samples);
  }
}

/**
 * @param {Float32Array} samples
 * @returns {{rms: number, peak: number}} in dB of full scale
 */
export function levels(samples) {
  let power = 0;
  let peak = 0;
  for (const sample of samples) {
    power += sample * sample;
    peak = Math.max(peak, Math.abs(sample));
  }
  const decibels = (amplitude) => 20 * Math.log10(Math.max(amplitude, 1e-6));
  return { rms: decibels(Math.sqrt(power / samples.length)), peak: decibels(peak) };
}
