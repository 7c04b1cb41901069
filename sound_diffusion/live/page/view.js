/** The picture in the window: which pictures are shown, when, and how one becomes the next. */

import { CanvasRenderer } from "./canvas-renderer.js";
import { WebglRenderer } from "./webgl-renderer.js";

const INTERVALS = 7; // between pictures, of which the median says how long one takes to become the next
const LONGEST = 0.5; // seconds that it takes at most
const FIRST = 0.5; // seconds in which the first one appears
const CALM = 0.5; // seconds that it takes where nothing may flash: brightness turns twice a second at most
const SOFTWARE_INTERVAL = 1 / 30; // seconds between drawings without a graphics card
const SEEN = 0.5; // of the way from one to the next: from there on a picture is more what is seen than the one before

/**
 * @typedef {object} Picture
 * @property {Blob} blob
 * @property {number} clock
 * @property {number} index
 */

export class View {
  /**
   * @param {HTMLElement} parent gets a canvas of its size
   * @param {(picture: Picture) => void} onSeen called when a picture is more what is seen than the one before it
   */
  constructor(parent, onSeen) {
    this.parent = parent;
    this.onSeen = onSeen;
    this.look = { between: "auto", fill: false, calm: false };
    /** @type {Picture | null} the newest that has come */
    this.newest = null;
    this.waiting = null;
    this.shown = null;
    this.seen = true;
    this.gaps = [];
    this.makeCanvas();
    new ResizeObserver(() => this.resize()).observe(parent);
    document.addEventListener("visibilitychange", () => this.decode());
  }

  /** @param {Partial<{between: "auto" | "flow" | "fade" | "cut", fill: boolean, calm: boolean}>} change */
  setLook(change) {
    const { between } = this.look;
    Object.assign(this.look, change);
    if (this.look.between !== between) this.makeCanvas();
    this.redraw();
  }

  makeCanvas() {
    this.renderer?.close();
    this.canvas?.remove();
    this.canvas = this.appendCanvas();
    try {
      this.renderer = new WebglRenderer(this.canvas, this.look.between === "flow");
      this.canvas.addEventListener("webglcontextlost", () => this.canvas.isConnected && setTimeout(() => this.makeCanvas(), 500));
    } catch {
      this.canvas.remove(); // one that was asked for the one kind of drawing does not do the other
      this.canvas = this.appendCanvas();
      this.renderer = new CanvasRenderer(this.canvas);
    }
    this.began = -Infinity;
    this.duration = 1;
    this.resize();
    const last = this.shown;
    if (last) this.waiting = { ...last, again: true };
    this.decode();
  }

  appendCanvas() {
    const canvas = this.parent.appendChild(document.createElement("canvas"));
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", "What is heard, painted");
    return canvas;
  }

  resize() {
    const { clientWidth, clientHeight } = this.parent;
    const most = this.renderer.mostPixels ?? Infinity;
    const scale = Math.min(devicePixelRatio, most / Math.max(clientWidth, clientHeight, 1));
    this.canvas.width = Math.max(1, Math.round(clientWidth * scale));
    this.canvas.height = Math.max(1, Math.round(clientHeight * scale));
    this.redraw();
  }

  /** Take in a picture that has come. Of those that come while one is being decoded only the newest is shown. */
  show(picture) {
    const now = performance.now() / 1000;
    if (this.newest) this.gaps = [...this.gaps, now - this.arrived].slice(-INTERVALS);
    this.arrived = now;
    this.newest = this.waiting = picture;
    this.decode();
  }

  /** Forget when pictures came: what follows is something else. */
  pause() {
    this.newest = null;
    this.gaps = [];
  }

  async decode() {
    if (this.decoding || !this.waiting || document.hidden) return; // a hidden page keeps the newest alone
    if (this.look.calm && this.progress < 1) return; // taken up again when the one before is there
    this.decoding = true;
    const picture = this.waiting;
    this.waiting = null;
    try {
      this.begin(picture, await createImageBitmap(picture.blob));
    } catch (error) {
      console.warn("a picture could not be decoded", error);
    }
    this.decoding = false;
    this.decode();
  }

  begin(picture, bitmap) {
    this.renderer.load(bitmap, this.progress, this.drawn);
    this.began = performance.now() / 1000;
    this.duration = this.chooseDuration(picture);
    this.shown = picture;
    this.seen = Boolean(picture.again);
    this.redraw();
  }

  chooseDuration(picture) {
    if (picture.again || this.look.between === "cut") return this.look.calm ? CALM : 0;
    if (this.look.calm) return CALM;
    if (!this.gaps.length) return FIRST;
    const sorted = [...this.gaps].sort((a, b) => a - b);
    return Math.min(sorted[Math.floor(sorted.length / 2)], LONGEST);
  }

  get progress() {
    const elapsed = performance.now() / 1000 - this.began;
    return elapsed >= this.duration ? 1 : elapsed / this.duration;
  }

  /** How the renderer is to draw. */
  get drawn() {
    return { flow: !this.look.calm && ["auto", "flow"].includes(this.look.between), fill: this.look.fill };
  }

  redraw() {
    this.asked ??= requestAnimationFrame(() => this.draw());
  }

  draw() {
    this.asked = undefined;
    const now = performance.now() / 1000;
    const { progress } = this;
    const skip = this.renderer instanceof CanvasRenderer && progress < 1 && now - (this.drew ?? 0) < SOFTWARE_INTERVAL;
    if (!skip) {
      this.renderer.draw(progress, this.drawn);
      this.drew = now;
      if (!this.seen && progress >= SEEN) {
        this.seen = true;
        this.onSeen(this.shown);
      }
    }
    if (progress < 1) this.redraw();
    else this.decode();
  }
}
