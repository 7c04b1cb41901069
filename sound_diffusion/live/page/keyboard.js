/** Keys, and the list of them. */

import { byId, element } from "./elements.js";
import { recall, remember } from "./memory.js";

const TYPING = "input:not([type=checkbox], [type=range]), textarea, select, [contenteditable]";

/**
 * @param {{key: string, shown?: string, does: string, act: () => void}[]} keys an entry without `does` is not listed
 */
export function listen(keys) {
  const on = byId("keys-on");
  on.checked = recall("keys", { on: true }).on;
  on.addEventListener("change", () => remember("keys", { on: on.checked }));
  for (const { key, shown, does } of keys) {
    if (does) byId("keys").append(element("dt", {}, element("kbd", { textContent: shown ?? key.toUpperCase() })), element("dd", { textContent: does }));
  }
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches(TYPING)) return;
    if (event.key.startsWith("Arrow") && event.target.matches("input")) return; // it moves them
    if (event.key === " " && event.target.matches("button, summary, input")) return; // it presses them
    const entry = keys.find(({ key }) => key === event.key.toLowerCase());
    if (!entry || byId("help").open || (!on.checked && event.key !== "Escape")) return;
    event.preventDefault();
    entry.act();
  });
}
