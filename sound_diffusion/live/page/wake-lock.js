/** A screen that stays on while it plays. */

let wanted = false;
let lock = null;

/** @param {boolean} on */
export async function keepAwake(on) {
  wanted = on;
  if (!on) {
    lock?.release();
    lock = null;
  } else if (!document.hidden) {
    lock = (await navigator.wakeLock?.request("screen").catch(() => null)) ?? null;
  }
}

document.addEventListener("visibilitychange", () => wanted && keepAwake(true)); // a hidden page loses it
