/** The level meter: what is heard in dB of full scale, and its peak of the last second. */

import { byId } from "./elements.js";
import { levels } from "./hearing.js";

const LOWEST = -60; // dB
const FALL = 24; // dB a second
const HOLD = 1_000; // ms
const SPOKEN_EVERY = 500; // ms

export class Level {
  constructor() {
    this.rms = this.peak = LOWEST;
    this.peakTime = this.time = this.spoken = 0;
  }

  /** @param {Float32Array} samples */
  hear(samples) {
    const now = performance.now();
    const { rms, peak } = levels(samples);
    this.rms = Math.max(rms, this.rms - (FALL * (now - this.time)) / 1000, LOWEST);
    this.time = now;
    if (peak > this.peak || now - this.peakTime > HOLD) [this.peak, this.peakTime] = [peak, now];
    this.asked ??= requestAnimationFrame(() => this.draw());
  }

  clear() {
    this.rms = this.peak = LOWEST;
    this.asked ??= requestAnimationFrame(() => this.draw());
  }

  draw() {
    this.asked = undefined;
    const meter = byId("level");
    const share = (decibels) => Math.min(Math.max(1 - decibels / LOWEST, 0), 1);
    meter.querySelector("i").style.transform = `scaleX(${share(this.rms).toFixed(3)})`;
    meter.querySelector("b").style.transform = `translateX(${(100 * share(this.peak) - 100).toFixed(1)}%)`;
    meter.classList.toggle("clipping", this.peak > -0.1);
    const now = performance.now();
    if (now - this.spoken < SPOKEN_EVERY) return;
    this.spoken = now;
    meter.setAttribute("aria-valuenow", Math.round(this.rms));
    meter.setAttribute("aria-valuetext", `${Math.round(this.rms)} dB`);
  }
}
