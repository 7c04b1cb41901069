/** Programs of the graphics card. In a texture, as in a picture, (0, 0) is the upper left corner and (1, 1) the lower right. */

const HEAD = `#version 300 es
precision highp float;
precision highp sampler2D;
`;

/** One triangle over everything; at is in [0, 1]. */
export const VERTEX = `${HEAD}
out vec2 at;
void main() {
  at = vec2((gl_VertexID << 1) & 2, gl_VertexID & 2);
  gl_Position = vec4(2.0 * at - 1.0, 0.0, 1.0);
}`;

/**
 * One step of Lucas and Kanade's optical flow (1981) on one level of a pyramid: where what is in one picture has moved to
 * in the next, as a part of the picture's side. The level above, or the step before, gives the guess to improve on.
 */
export const FLOW = `${HEAD}
uniform sampler2D first, second, guesses;
uniform float level;  // of the mipmaps
uniform vec2 cell;    // one cell of this level, in [0, 1]
in vec2 at;
out vec2 flow;

const int REACH = 2;       // cells around, which are taken to move alike
const float STILL = 0.004; // added to the gradients: what has none stays where it is guessed

float light(sampler2D picture, vec2 place) {
  return dot(textureLod(picture, place, level).rgb, vec3(0.299, 0.587, 0.114));
}

void main() {
  vec2 right = vec2(cell.x, 0.0), down = vec2(0.0, cell.y);
  vec2 guess = 0.5 * texture(guesses, at).xy + 0.125 * (texture(guesses, at + right).xy + texture(guesses, at - right).xy
    + texture(guesses, at + down).xy + texture(guesses, at - down).xy);
  vec3 gradients = vec3(STILL, STILL, 0.0);  // of xx, yy and xy
  vec2 differences = vec2(0.0);
  for (int y = -REACH; y <= REACH; y++) {
    for (int x = -REACH; x <= REACH; x++) {
      vec2 here = at + vec2(x, y) * cell, there = here + guess;
      vec2 slope = 0.25 * vec2(
        light(first, here + right) - light(first, here - right) + light(second, there + right) - light(second, there - right),
        light(first, here + down) - light(first, here - down) + light(second, there + down) - light(second, there - down));
      gradients += vec3(slope * slope, slope.x * slope.y);
      differences += slope * (light(second, there) - light(first, here));
    }
  }
  float determinant = gradients.x * gradients.y - gradients.z * gradients.z;
  vec2 move = -vec2(gradients.y * differences.x - gradients.z * differences.y,
                    gradients.x * differences.y - gradients.z * differences.x) / determinant;
  flow = guess + clamp(move, -1.0, 1.0) * cell;
}`;

/**
 * A picture between two: both are bent along the flow to where they meet, then one takes the other's place. Light rises at
 * once and falls slowly, as in the sound.
 */
const BETWEEN = `
uniform sampler2D first, second, moved;
uniform float progress, motion, rise;

vec3 between(vec3 a, vec3 b) {
  float brighter = smoothstep(-0.05, 0.15, dot(b - a, vec3(0.299, 0.587, 0.114)));
  float risen = 1.0 - pow(1.0 - progress, 3.0);
  return mix(a, b, mix(progress, risen, brighter * rise));
}
vec2 place(vec2 at, float time) {
  return at + time * motion * texture(moved, at).xy;
}`;

/** The picture that is shown, at its own size, to go on from when the next one comes early. */
export const SNAPSHOT = `${HEAD}${BETWEEN}
in vec2 at;
out vec4 color;
void main() {
  color = vec4(between(texture(first, place(at, -progress)).rgb, texture(second, place(at, 1.0 - progress)).rgb), 1.0);
}`;

/** The picture on the screen: enlarged by Catmull and Rom's cubic, its edges a little sharpened; its light around it. */
export const SCREEN = `${HEAD}${BETWEEN}
uniform vec2 screen, corner, side;  // pixels: all, the picture's lower left corner, its size
uniform float sharpness;
out vec4 color;

/** Sixteen texels by nine readings between them. */
vec3 enlarge(sampler2D picture, vec2 at) {
  vec2 size = vec2(textureSize(picture, 0)), center = floor(at * size - 0.5) + 0.5, f = at * size - center;
  vec2 w0 = f * (-0.5 + f * (1.0 - 0.5 * f)), w1 = 1.0 + f * f * (-2.5 + 1.5 * f);
  vec2 w2 = f * (0.5 + f * (2.0 - 1.5 * f)), w3 = f * f * (-0.5 + 0.5 * f), w12 = w1 + w2;
  vec2 p0 = (center - 1.0) / size, p12 = (center + w2 / w12) / size, p3 = (center + 2.0) / size;
  vec3 sum = textureLod(picture, vec2(p0.x, p0.y), 0.0).rgb * w0.x * w0.y;
  sum += textureLod(picture, vec2(p12.x, p0.y), 0.0).rgb * w12.x * w0.y;
  sum += textureLod(picture, vec2(p3.x, p0.y), 0.0).rgb * w3.x * w0.y;
  sum += textureLod(picture, vec2(p0.x, p12.y), 0.0).rgb * w0.x * w12.y;
  sum += textureLod(picture, vec2(p12.x, p12.y), 0.0).rgb * w12.x * w12.y;
  sum += textureLod(picture, vec2(p3.x, p12.y), 0.0).rgb * w3.x * w12.y;
  sum += textureLod(picture, vec2(p0.x, p3.y), 0.0).rgb * w0.x * w3.y;
  sum += textureLod(picture, vec2(p12.x, p3.y), 0.0).rgb * w12.x * w3.y;
  sum += textureLod(picture, vec2(p3.x, p3.y), 0.0).rgb * w3.x * w3.y;
  return sum + sharpness * (sum - textureLod(picture, at, 1.5).rgb);
}

vec3 glow(vec2 at) {
  vec2 near = clamp(at, 0.06, 0.94);
  vec3 light = between(textureLod(first, near, 4.5).rgb, textureLod(second, near, 4.5).rgb);
  float distance = length((at - clamp(at, 0.0, 1.0)) * side / min(screen.x, screen.y));
  return light * 0.3 * exp(-5.0 * distance);
}

void main() {
  vec2 at = (gl_FragCoord.xy - corner) / side;
  at.y = 1.0 - at.y;
  vec2 inside = clamp(min(at, 1.0 - at) * side + 0.5, 0.0, 1.0);
  color = vec4(glow(at), 1.0);
  if (inside.x * inside.y > 0.0) {
    vec3 picture = between(enlarge(first, place(at, -progress)), enlarge(second, place(at, 1.0 - progress)));
    color.rgb = mix(color.rgb, clamp(picture, 0.0, 1.0), inside.x * inside.y);
  }
}`;
