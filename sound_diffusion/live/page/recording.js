/** A take: kept from one press of a button to the next; then how the film of it is made. */

import { byId } from "./elements.js";

export class Recording {
  /** @param {(on: boolean) => void} onChange */
  constructor(onChange) {
    this.onChange = onChange;
    byId("record").addEventListener("click", () => this.toggle());
    byId("take-close").addEventListener("click", () => this.close());
    byId("take-copy").addEventListener("click", () => this.copy());
  }

  get isOn() {
    return byId("record").getAttribute("aria-pressed") === "true";
  }

  toggle() {
    if (!byId("record").disabled) this.onChange(!this.isOn);
  }

  /** @param {{on: boolean, possible: boolean}} state */
  show({ on, possible }) {
    byId("record").setAttribute("aria-pressed", on);
    byId("record").setAttribute("aria-label", on ? "End the recording" : "Record");
    byId("record").disabled = !possible;
    if (on && !this.began) this.began = performance.now();
    if (!on) this.began = 0;
  }

  /** Minutes and seconds since it began, "" where nothing is recorded. */
  get time() {
    if (!this.began) return "";
    const seconds = Math.floor((performance.now() - this.began) / 1000);
    return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  }

  /** @param {{folder: string, command: string, film: string, message: string}} take */
  tell({ folder, command, film, message }) {
    byId("take").hidden = false;
    const kept = film ? `The film of what you saw: ${film}` : `Sound and settings are in ${folder}. The film of what you saw is being written …`;
    byId("take-what").textContent = message || kept;
    byId("take-command").value = command;
    byId("take-copy").textContent = "Copy the command";
  }

  async copy() {
    const command = byId("take-command");
    command.select();
    try {
      await navigator.clipboard.writeText(command.value);
    } catch {
      document.execCommand("copy"); // without a secure context there is no clipboard but this one
    }
    byId("take-copy").textContent = "Copied";
  }

  close() {
    byId("take").hidden = true;
  }
}
