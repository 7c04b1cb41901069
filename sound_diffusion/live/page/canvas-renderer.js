/** Shows pictures, and the fade between two of them, without a graphics card: no more work than a processor has room for. */

const GLOW_PIXELS = 6; // on a side, of the light around the picture
const GLOW = 0.22;
const MOST_PIXELS = 720; // on a side; the browser enlarges what is shown

export class CanvasRenderer {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha: false });
    this.before = document.createElement("canvas").getContext("2d", { alpha: false });
    this.glow = document.createElement("canvas").getContext("2d", { alpha: false });
    this.glow.canvas.width = this.glow.canvas.height = GLOW_PIXELS;
    this.picture = null;
  }

  get mostPixels() {
    return MOST_PIXELS;
  }

  /**
   * Take in the next picture; what is shown becomes the one before.
   *
   * @param {ImageBitmap} picture
   * @param {number} progress from the one before to the newest, in [0, 1], up to now
   */
  load(picture, progress) {
    const { width, height } = picture;
    const { canvas } = this.before;
    if (canvas.width !== width || canvas.height !== height) {
      [canvas.width, canvas.height] = [width, height];
    }
    if (this.picture) {
      this.before.globalAlpha = progress;
      this.before.drawImage(this.picture, 0, 0, width, height);
      this.picture.close();
    }
    this.picture = picture;
    this.glow.imageSmoothingQuality = "high";
    this.glow.globalAlpha = 0.5; // it follows slowly
    this.glow.drawImage(picture, 0, 0, GLOW_PIXELS, GLOW_PIXELS);
  }

  /**
   * @param {number} progress
   * @param {{fill: boolean}} look
   */
  draw(progress, look) {
    if (!this.picture) return;
    const { width, height } = this.canvas;
    const ratio = [width / this.picture.width, height / this.picture.height];
    const scale = look.fill ? Math.max(...ratio) : Math.min(...ratio);
    const [w, h] = [this.picture.width * scale, this.picture.height * scale];
    const place = [(width - w) / 2, (height - h) / 2, w, h];
    this.context.imageSmoothingQuality = "high";
    if (scale < Math.max(...ratio)) {
      this.context.globalAlpha = 1;
      this.context.fillRect(0, 0, width, height);
      this.context.globalAlpha = GLOW;
      this.context.drawImage(this.glow.canvas, 0, 0, width, height);
    }
    if (progress < 1) {
      this.context.globalAlpha = 1;
      this.context.drawImage(this.before.canvas, ...place);
    }
    this.context.globalAlpha = progress;
    this.context.drawImage(this.picture, ...place);
  }

  close() {
    this.picture?.close();
  }
}
