/** How it is shown: what belongs to this screen and not to the painter. */

import { element } from "./elements.js";
import { recall, remember } from "./memory.js";

const BETWEEN = { auto: "flow, with a graphics card", flow: "flow", fade: "fade", cut: "nothing" };

export class ViewControls {
  /**
   * @param {HTMLFormElement} form
   * @param {(look: object) => void} onChange
   */
  constructor(form, onChange) {
    this.onChange = onChange;
    const calmer = matchMedia("(prefers-reduced-motion: reduce)");
    this.look = recall("look", { between: "auto", fill: false, calm: false });
    this.look.calm ||= calmer.matches;
    const between = element("select", { id: "between" }, ...Object.entries(BETWEEN).map(([value, textContent]) => element("option", { value, textContent })));
    between.addEventListener("change", () => this.set({ between: between.value }));
    this.fields = { between, fill: this.check("fill"), calm: this.check("calm") };
    this.numbers = element("dl", { id: "numbers" });
    const heading = element("label", { textContent: "Between pictures", htmlFor: "between" });
    form.append(
      element(
        "fieldset",
        { className: "own" },
        element("legend", { textContent: "On this screen" }),
        element("div", { className: "control" }, heading, between),
        element("label", { className: "check control" }, this.fields.fill, "Fill the window"),
        element("label", { className: "check control" }, this.fields.calm, "Calm: nothing flashes"),
      ),
      element("fieldset", { className: "own" }, element("legend", { textContent: "Now" }), this.numbers),
    );
    calmer.addEventListener("change", () => this.set({ calm: calmer.matches }));
    this.show();
  }

  check(name) {
    const field = element("input", { type: "checkbox", id: name });
    field.addEventListener("change", () => this.set({ [name]: field.checked }));
    return field;
  }

  set(change) {
    Object.assign(this.look, change);
    remember("look", this.look);
    this.show();
  }

  toggle(name) {
    this.set({ [name]: !this.look[name] });
  }

  show() {
    this.fields.between.value = this.look.between;
    this.fields.fill.checked = this.look.fill;
    this.fields.calm.checked = this.look.calm;
    this.onChange(this.look);
  }

  /** @param {Record<string, string | number>} numbers */
  showNumbers(numbers) {
    if (!this.numbers.checkVisibility?.()) return;
    const entries = Object.entries(numbers).flatMap(([name, value]) => [element("dt", { textContent: name }), element("dd", { textContent: value })]);
    this.numbers.replaceChildren(...entries);
  }
}
