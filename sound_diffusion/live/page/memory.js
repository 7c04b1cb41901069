/** What a page remembers: other programs may have left theirs at the same address, and a browser may forbid it. */

const PREFIX = "sound-diffusion-";

/**
 * @param {string} name
 * @param {object} otherwise what it is where nothing is remembered; its names and types are those that count
 */
export function recall(name, otherwise) {
  let kept = {};
  try {
    kept = JSON.parse(localStorage.getItem(PREFIX + name)) ?? {};
  } catch {
    // nothing is remembered
  }
  const known = Object.keys(otherwise).filter((each) => typeof kept[each] === typeof otherwise[each]);
  return { ...otherwise, ...Object.fromEntries(known.map((each) => [each, kept[each]])) };
}

/**
 * @param {string} name
 * @param {object} value
 */
export function remember(name, value) {
  try {
    localStorage.setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // it counts until the page is closed
  }
}
