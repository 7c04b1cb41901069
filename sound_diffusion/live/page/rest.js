/** While it plays and nobody touches anything, there is the picture and nothing else. */

const QUIET = 3_000; // ms

export class Rest {
  /** @param {() => boolean} allowed whether there is nothing open that should stay */
  constructor(allowed) {
    this.allowed = allowed;
    for (const event of ["pointermove", "pointerdown", "keydown", "focusin"]) document.addEventListener(event, () => this.wake());
  }

  wake() {
    document.body.classList.remove("resting");
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.rest(), QUIET);
  }

  rest() {
    const focused = document.querySelector("#bar :focus-visible");
    if (this.allowed() && !focused && !document.querySelector("dialog[open]")) document.body.classList.add("resting");
    else this.timer = setTimeout(() => this.rest(), QUIET);
  }
}
