/** The WebSocket to the program: what sound_diffusion/live/protocol.py says, and connecting again. */

const PING_EVERY = 2_000; // ms
const PATIENCE = 6_000; // ms without an answer after which the line is dead, as after a laptop has slept
const WAITS = [200, 500, 1_000, 2_000, 4_000]; // ms before it connects again
const REFUSED = 1008;
const REPLACED = 4000;
const MOST_WAITING_SECONDS = 0.25; // of sound in the socket; more would only be late
const CLOCK_BYTES = 8;
const PICTURE_HEADER = 24;

/**
 * @typedef {object} Painted
 * @property {number} clock of the newest sample that it heard
 * @property {number} paintingSeconds
 * @property {number} index
 * @property {Blob} blob
 */

export class Connection {
  /**
   * @param {object} on
   * @param {() => void} on.open
   * @param {(message: object) => void} on.message
   * @param {(picture: Painted) => void} on.picture
   * @param {(reason: string, final: boolean) => void} on.lost final: it will not connect again by itself
   */
  constructor(on) {
    this.on = on;
    this.dropped = 0;
    this.tries = 0;
    this.page = Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
    setInterval(() => this.ping(), PING_EVERY);
    window.addEventListener("online", () => this.hurry());
    document.addEventListener("visibilitychange", () => document.hidden || this.hurry());
  }

  get isOpen() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  open() {
    clearTimeout(this.timer);
    this.timer = 0;
    const address = new URL("ws", location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    address.hash = "";
    address.search = location.search;
    address.searchParams.set("page", this.page);
    const socket = new WebSocket(address);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    this.reason = "";
    this.asked = 0;
    socket.onopen = () => {
      this.tries = 0;
      this.on.open();
    };
    socket.onmessage = ({ data }) => this.receive(data);
    socket.onclose = ({ code, reason }) => this.lose(socket, code, this.reason || reason);
  }

  /** @param {object} message */
  send(message) {
    if (this.isOpen) this.socket.send(JSON.stringify(message));
  }

  /**
   * @param {number} clock
   * @param {Float32Array} samples
   * @param {number} rate
   */
  sendSamples(clock, samples, rate) {
    if (!this.isOpen) return;
    if (this.socket.bufferedAmount > MOST_WAITING_SECONDS * rate * samples.BYTES_PER_ELEMENT) {
      this.dropped++;
      return;
    }
    const message = new ArrayBuffer(CLOCK_BYTES + samples.byteLength);
    new DataView(message).setFloat64(0, clock, true);
    new Float32Array(message, CLOCK_BYTES).set(samples);
    this.socket.send(message);
  }

  receive(data) {
    if (data instanceof ArrayBuffer) {
      const header = new DataView(data, 0, PICTURE_HEADER);
      this.on.picture({
        clock: header.getFloat64(0, true),
        paintingSeconds: header.getFloat64(8, true),
        index: header.getUint32(16, true),
        blob: new Blob([new Uint8Array(data, PICTURE_HEADER)], { type: "image/jpeg" }),
      });
      return;
    }
    const message = JSON.parse(data);
    if (message.type === "pong") this.asked = 0;
    else if (message.type === "closing") this.reason = message.reason;
    else this.on.message(message);
  }

  ping() {
    if (!this.isOpen) return;
    const now = performance.now();
    if (!this.asked) {
      this.asked = now;
      this.send({ type: "ping", clock: now / 1000 });
    } else if (now - this.asked > PATIENCE) {
      const socket = this.socket;
      socket.close();
      this.lose(socket, 1006, "The program no longer answers."); // a dead line may take minutes to close
    }
  }

  lose(socket, code, reason) {
    if (socket !== this.socket) return;
    this.socket = null;
    const final = code === REFUSED || code === REPLACED;
    if (!final) this.timer = setTimeout(() => this.open(), WAITS[Math.min(this.tries++, WAITS.length - 1)]);
    this.on.lost(reason, final);
  }

  /** Connect now where it would be tried later. */
  hurry() {
    if (!this.socket && this.timer) this.open();
  }
}
