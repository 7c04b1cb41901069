/** Where it is chosen what is heard, and where it is said why something cannot be. */

import { byId, element } from "./elements.js";
import { SourceError, listMicrophones, openFile, openMicrophone, openShare, whyNoMicrophone, whyNoShare } from "./sources.js";

export class Chooser {
  /**
   * @param {() => Promise<AudioContext>} wake
   * @param {(source: import("./sources.js").Source) => void} onSource
   */
  constructor(wake, onSource) {
    this.wake = wake;
    this.onSource = onSource;
    /** How the source that was used last is opened again. */
    this.again = null;
    const input = byId("file-input");
    byId("microphone").addEventListener("click", () => this.microphone());
    byId("device").addEventListener("change", () => this.microphone());
    byId("share").addEventListener("click", () => this.share());
    byId("file").addEventListener("click", () => input.click());
    input.addEventListener("change", () => {
      if (input.files[0]) this.file(input.files[0]);
      input.value = ""; // the same one may be chosen again
    });
    byId("chooser-close").addEventListener("click", () => this.close());
    navigator.mediaDevices?.addEventListener?.("devicechange", () => this.listDevices());
    this.listDevices();
    this.acceptDrops();
    this.complain("microphone", whyNoMicrophone());
    this.complain("share", whyNoShare());
    byId("microphone").disabled = Boolean(whyNoMicrophone());
    byId("share").disabled = Boolean(whyNoShare());
  }

  get isOpen() {
    return !byId("chooser").hidden;
  }

  /** @param {boolean} closable whether there is a picture to go back to */
  open(closable) {
    byId("chooser").hidden = false;
    byId("chooser-close").hidden = !closable;
    document.body.classList.add("choosing");
    byId("chooser").querySelector("button:enabled").focus({ focusVisible: false });
  }

  close() {
    const focused = byId("chooser").contains(document.activeElement);
    byId("chooser").hidden = true;
    document.body.classList.remove("choosing");
    if (focused) byId("play").focus({ focusVisible: false });
  }

  microphone = () => this.choose("microphone", (context) => openMicrophone(context, byId("device").value));

  share = () => this.choose("share", openShare);

  file = (file) => this.choose("file", (context) => openFile(context, file));

  /**
   * @param {string} kind
   * @param {(context: AudioContext) => Promise<import("./sources.js").Source>} open
   */
  async choose(kind, open) {
    if (this.opening) return;
    this.opening = true;
    this.complain(kind, "");
    try {
      const source = await open(await this.wake());
      this.again = () => this.choose(kind, open);
      this.onSource(source);
      this.close();
      this.listDevices();
    } catch (error) {
      if (!(error instanceof SourceError)) console.error(error);
      if (!this.isOpen) this.open(true);
      this.complain(kind, error.message);
      if (kind === "microphone") byId("file").focus();
    } finally {
      this.opening = false;
    }
  }

  complain(kind, why) {
    const place = byId(`${kind}-why`);
    place.setAttribute("role", "alert");
    place.textContent = why;
  }

  async listDevices() {
    const devices = await listMicrophones();
    const select = byId("device");
    const { value } = select;
    select.replaceChildren(...devices.map(({ id, label }) => element("option", { value: id, textContent: label })));
    if (devices.some(({ id }) => id === value)) select.value = value;
    select.hidden = devices.length < 2;
  }

  acceptDrops() {
    const mark = (on) => document.body.classList.toggle("dropping", on);
    document.addEventListener("dragover", (event) => {
      event.preventDefault();
      mark(true);
    });
    document.addEventListener("dragleave", (event) => event.relatedTarget || mark(false));
    document.addEventListener("drop", (event) => {
      event.preventDefault();
      mark(false);
      const [file] = event.dataTransfer.files;
      if (file) this.file(file);
    });
  }
}
