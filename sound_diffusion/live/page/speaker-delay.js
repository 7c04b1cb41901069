/** A file that plays is heard by the painter at once and by people a little later: when its picture is there. */

const FIRST_GUESS = 0.2; // seconds
const LONGEST = 1;
const NOTICED = 0.03; // seconds that nobody notices
const GLIDE = 0.005; // seconds a second by which the delay moves: nine cents of pitch

export class SpeakerDelay {
  /**
   * @param {AudioContext} context
   * @param {AudioNode} node
   */
  constructor(context, node) {
    this.context = context;
    this.node = node;
    this.delay = context.createDelay(LONGEST);
    this.delay.delayTime.value = FIRST_GUESS;
    this.settled = 0; // the time at which it has reached what it was told last
    node.connect(this.delay).connect(context.destination);
  }

  /** @param {number} latency seconds from a sample to its picture, as measured lately */
  follow(latency) {
    const { currentTime, outputLatency = 0, baseLatency = 0 } = this.context;
    if (currentTime < this.settled) return;
    const wanted = Math.min(Math.max(latency - (outputLatency || baseLatency), 0), LONGEST);
    const gap = wanted - this.delay.delayTime.value;
    if (Math.abs(gap) < NOTICED) return;
    this.settled = currentTime + Math.abs(gap) / GLIDE;
    this.delay.delayTime.setValueAtTime(this.delay.delayTime.value, currentTime);
    this.delay.delayTime.linearRampToValueAtTime(wanted, this.settled);
  }

  close() {
    this.node.disconnect(this.delay);
    this.delay.disconnect();
  }
}
