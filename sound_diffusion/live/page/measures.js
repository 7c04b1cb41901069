/** Numbers of the last seconds. */

export class Recent {
  /** @param {number} seconds that are remembered */
  constructor(seconds) {
    this.seconds = seconds;
    /** @type {{time: number, value: number}[]} */
    this.entries = [];
  }

  /**
   * @param {number} value
   * @param {number} time seconds
   */
  add(value, time = performance.now() / 1000) {
    this.entries.push({ time, value });
    this.forget(time);
  }

  forget(now = performance.now() / 1000) {
    while (this.entries.length && this.entries[0].time < now - this.seconds) this.entries.shift();
  }

  clear() {
    this.entries = [];
  }

  /** How many a second. */
  get rate() {
    this.forget();
    return this.entries.length / this.seconds;
  }

  /**
   * @param {number} share 0.5 is the median
   * @returns {number} NaN where there is none
   */
  quantile(share) {
    this.forget();
    const sorted = this.entries.map((entry) => entry.value).sort((a, b) => a - b);
    return sorted.length ? sorted[Math.min(Math.floor(share * sorted.length), sorted.length - 1)] : NaN;
  }
}
