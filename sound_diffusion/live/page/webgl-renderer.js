/** Shows pictures, and what is between two of them, by the graphics card. */

import { FLOW, SCREEN, SNAPSHOT, VERTEX } from "./shaders.js";

const FLOW_CELLS = [8, 16, 32, 64]; // on a side, from coarse to fine
const STEPS = 2; // on each of them
const SHARPNESS = 0.15;

export class WebglRenderer {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {boolean} insist also where there is no graphics card and the processor would do its work
   * @throws {Error} where it cannot be had
   */
  constructor(canvas, insist) {
    const wanted = { alpha: false, antialias: false, depth: false, failIfMajorPerformanceCaveat: !insist };
    const gl = canvas.getContext("webgl2", wanted);
    if (!gl || (!insist && isSoftware(gl))) throw new Error("no graphics card");
    this.gl = gl;
    this.canvas = canvas;
    this.canFlow = Boolean(gl.getExtension("EXT_color_buffer_float") ?? gl.getExtension("EXT_color_buffer_half_float"));
    this.programs = { flow: program(gl, FLOW), snapshot: program(gl, SNAPSHOT), screen: program(gl, SCREEN) };
    this.frame = gl.createFramebuffer();
    this.still = texture(gl, gl.RG16F, 1, 1); // no motion
    this.levels = this.canFlow ? FLOW_CELLS.map((n) => [texture(gl, gl.RG16F, n, n), texture(gl, gl.RG16F, n, n)]) : [];
    this.width = this.height = 0;
  }

  /** Make textures for pictures of a size, black to begin with. */
  begin(width, height) {
    const { gl } = this;
    for (const old of [this.first, this.second, this.spare]) if (old) gl.deleteTexture(old);
    const levels = 1 + Math.floor(Math.log2(Math.max(width, height)));
    [this.first, this.second, this.spare] = [0, 1, 2].map(() => texture(gl, gl.RGBA8, width, height, levels));
    this.width = width;
    this.height = height;
    this.motion = this.still;
  }

  /**
   * Take in the next picture; what is shown becomes the one before.
   *
   * @param {ImageBitmap} picture
   * @param {number} progress from the one before to the newest, in [0, 1], up to now
   * @param {object} look as for draw
   */
  load(picture, progress, look) {
    const { gl } = this;
    if (picture.width !== this.width || picture.height !== this.height) this.begin(picture.width, picture.height);
    if (progress < 1) {
      this.run("snapshot", this.spare, this.width, this.height, this.between(progress, look));
      [this.first, this.spare] = [this.spare, this.first];
    } else {
      [this.first, this.second] = [this.second, this.first];
    }
    gl.bindTexture(gl.TEXTURE_2D, this.second);
    gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, gl.RGBA, gl.UNSIGNED_BYTE, picture);
    picture.close();
    for (const each of [this.first, this.second]) {
      gl.bindTexture(gl.TEXTURE_2D, each);
      gl.generateMipmap(gl.TEXTURE_2D);
    }
    this.motion = look.flow && this.canFlow ? this.flow() : this.still;
  }

  /** @returns {WebGLTexture} where everything in the one picture moves to in the other */
  flow() {
    let guesses = this.still;
    for (const [index, n] of FLOW_CELLS.entries()) {
      const level = Math.max(Math.log2(Math.max(this.width, this.height) / n), 0);
      for (let step = 0; step < STEPS; step++) {
        const target = this.levels[index].find((each) => each !== guesses);
        const uniforms = { first: this.first, second: this.second, guesses, level, cell: [1 / n, 1 / n] };
        this.run("flow", target, n, n, uniforms);
        guesses = target;
      }
    }
    return guesses;
  }

  between(progress, { flow }) {
    const { first, second, motion: moved } = this;
    return { first, second, moved, progress, motion: flow ? 1 : 0, rise: flow ? 1 : 0 };
  }

  /**
   * @param {number} progress
   * @param {{flow: boolean, fill: boolean}} look
   */
  draw(progress, look) {
    if (!this.width) return;
    const { width, height } = this.canvas;
    const ratio = [width / this.width, height / this.height];
    const scale = look.fill ? Math.max(...ratio) : Math.min(...ratio);
    const side = [this.width * scale, this.height * scale];
    const corner = [(width - side[0]) / 2, (height - side[1]) / 2];
    const uniforms = { screen: [width, height], corner, side, sharpness: SHARPNESS };
    this.run("screen", null, width, height, { ...this.between(progress, look), ...uniforms });
  }

  /**
   * @param {string} name of the program
   * @param {WebGLTexture | null} target the screen where it is null
   * @param {number} width
   * @param {number} height
   * @param {Record<string, number | number[] | WebGLTexture>} uniforms
   */
  run(name, target, width, height, uniforms) {
    const { gl } = this;
    const { handle, places } = this.programs[name];
    gl.useProgram(handle);
    gl.bindFramebuffer(gl.FRAMEBUFFER, target ? this.frame : null);
    if (target) gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, target, 0);
    gl.viewport(0, 0, width, height);
    let unit = 0;
    for (const [key, value] of Object.entries(uniforms)) {
      if (value instanceof WebGLTexture) {
        gl.activeTexture(gl.TEXTURE0 + unit);
        gl.bindTexture(gl.TEXTURE_2D, value);
        gl.uniform1i(places[key], unit++);
      } else if (Array.isArray(value)) gl.uniform2f(places[key], ...value);
      else gl.uniform1f(places[key], value);
    }
    gl.activeTexture(gl.TEXTURE0);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }

  close() {
    this.gl.getExtension("WEBGL_lose_context")?.loseContext();
  }
}

/** Whether the processor, which is needed for painting, stands in for a graphics card. */
function isSoftware(gl) {
  const names = gl.getExtension("WEBGL_debug_renderer_info");
  const renderer = names ? gl.getParameter(names.UNMASKED_RENDERER_WEBGL) : gl.getParameter(gl.RENDERER);
  return /swiftshader|llvmpipe|softpipe|software|basic render/i.test(renderer);
}

function program(gl, fragment) {
  const handle = gl.createProgram();
  for (const [type, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, fragment]]) {
    const shader = gl.createShader(type);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader) ?? "no shader");
    gl.attachShader(handle, shader);
  }
  gl.linkProgram(handle);
  if (!gl.getProgramParameter(handle, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(handle) ?? "no program");
  const places = {};
  for (let i = 0; i < gl.getProgramParameter(handle, gl.ACTIVE_UNIFORMS); i++) {
    const { name } = gl.getActiveUniform(handle, i);
    places[name] = gl.getUniformLocation(handle, name);
  }
  return { handle, places };
}

function texture(gl, format, width, height, levels = 1) {
  const handle = gl.createTexture();
  gl.bindTexture(gl.TEXTURE_2D, handle);
  gl.texStorage2D(gl.TEXTURE_2D, levels, format, width, height);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, levels > 1 ? gl.LINEAR_MIPMAP_LINEAR : gl.LINEAR);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
  return handle;
}
