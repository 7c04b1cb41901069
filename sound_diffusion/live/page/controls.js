/** The controls of the painter: fields made from a table, what they say to the program, and what it answers. */

import { element } from "./elements.js";

const PAUSE = 350; // ms without a key after which what is typed counts
const TOLD_EVERY = 40; // ms, while a slider is dragged

/**
 * Those with a step are schedules: a number on a slider, or a formula as text. What may be chosen, what every number may be,
 * and which settings mean something now, is the program's to say: a slider shows the part of it that is of use.
 */
const GROUPS = [
  {
    title: "Painting",
    controls: [
      { name: "preset", label: "Preset", choice: true },
      { name: "strength", label: "Strength", hint: "how much of the last picture is forgotten", least: 0, most: 1, step: 0.01 },
      { name: "gain", label: "Gain", hint: "how loud the sound is to the model", least: 0, most: 3, step: 0.05 },
      { name: "scale", label: "Scale", hint: "how firmly the sound leads", least: 1, most: 12, step: 0.25 },
      { name: "local_contrast", label: "Local contrast", hint: "lines that glow, on a darker ground", least: 0, most: 1.5, step: 0.05, number: true },
      { name: "window", label: "Window", hint: "seconds of sound in a picture", least: 0.05, most: 4, step: 0.05, number: true },
      { name: "feature", label: "Feature", choice: true },
      { name: "seed", label: "Seed", integer: true },
      { name: "seed_mode", label: "Noise of the pictures", choice: true },
      { name: "walk_rate", label: "Walk", hint: "seeds a second", with: "seed_mode", least: 0, most: 4, step: 0.05 },
      { name: "loop_seconds", label: "Once round", hint: "seconds", with: "seed_mode", least: 1, most: 120, step: 1, number: true },
      { name: "text_weight", label: "Text", hint: "how much the words count beside the sound", least: 0, most: 1, step: 0.01 },
    ],
  },
  {
    title: "Between two pictures",
    controls: [
      { name: "zoom", label: "Zoom", least: 0.9, most: 1.1, step: 0.005 },
      { name: "angle", label: "Angle", hint: "degrees a picture", least: -10, most: 10, step: 0.1 },
      { name: "translation_x", label: "Move right", hint: "pixels a picture", least: -20, most: 20, step: 0.5 },
      { name: "translation_y", label: "Move down", hint: "pixels a picture", least: -20, most: 20, step: 0.5 },
      { name: "border", label: "What comes in at the edge", choice: true },
      { name: "noise", label: "Noise", least: 0, most: 0.5, step: 0.005 },
      { name: "sharpen", label: "Sharpen", least: 0, most: 1, step: 0.05, number: true },
      { name: "color_coherence", label: "Keep the first colours", choice: true },
      { name: "color_strength", label: "How much of them", with: "color_coherence", least: 0, most: 1, step: 0.05, number: true },
      { name: "fps", label: "Most pictures a second", least: 1, most: 60, step: 1, number: true },
    ],
  },
];

export class Controls {
  /**
   * @param {HTMLFormElement} form
   * @param {(settings: Record<string, string | number | null>) => void} onChange
   */
  constructor(form, onChange) {
    this.onChange = onChange;
    /** Settings that were changed here: a program that was started anew is told them again. */
    this.changed = {};
    this.controls = new Map();
    this.form = form;
    form.addEventListener("submit", (event) => event.preventDefault());
    const [first, ...others] = GROUPS.map((group) => this.group(group));
    this.more = element("details", {}, element("summary", { textContent: "More" }), ...others);
    form.append(first, this.formulas(), this.more);
  }

  group({ title, controls }) {
    return element("fieldset", {}, element("legend", { textContent: title }), ...controls.map((each) => this.control(each)));
  }

  control(declared) {
    const { name, label, hint = "" } = declared;
    const make = declared.choice ? choice : declared.step ? slider : seed;
    const control = make(declared, (value) => this.change(name, value));
    const [note, why] = [element("p", { id: `${name}-hint`, className: "hint", textContent: hint }), element("p", { id: `${name}-why`, className: "why" })];
    why.setAttribute("role", "alert");
    control.field.id = `set-${name}`;
    control.field.name = name;
    control.field.setAttribute("aria-describedby", `${name}-hint ${name}-why`);
    control.field.addEventListener("focus", () => (this.focused = declared.step && !declared.number ? control : this.focused));
    const heading = element("label", { textContent: label, htmlFor: control.field.id });
    const box = element("div", { className: `control ${declared.step ? "schedule" : ""}` }, heading, control.row, note, why);
    this.controls.set(name, { ...control, declared, note, why, box });
    return box;
  }

  /** Names that formulas may use; pressing one writes it. */
  formulas() {
    this.chips = element("div", { className: "chips" });
    const example = "A number may be a formula that follows the sound, such as 0.2 + 0.5*onset, or keyframes.";
    const help = element("p", { className: "hint", textContent: example });
    return element("details", {}, element("summary", { textContent: "What a formula may say" }), element("div", { className: "control" }, help, this.chips));
  }

  change(name, value) {
    this.changed[name] = value;
    if (name === "preset") {
      // It decides the others anew, but for those that say what is heard.
      const kept = ["preset", "feature", "window", "fps", "seed"];
      this.changed = Object.fromEntries(Object.entries(this.changed).filter(([each]) => kept.includes(each)));
      for (const each of this.controls.keys()) if (!kept.includes(each)) this.complain(each, "");
    }
    this.untold = { ...this.untold, [name]: value };
    for (const [each, { declared }] of this.controls) {
      if (declared.with !== name) continue;
      delete this.changed[each]; // it may mean nothing any more
      delete this.untold[each];
    }
    this.complain(name, "");
    this.timer ??= setTimeout(() => this.tell(), TOLD_EVERY);
  }

  tell() {
    this.onChange(this.untold);
    this.untold = {};
    this.timer = undefined;
  }

  /** Set one as if by hand. */
  set(name, value) {
    this.controls.get(name).show(value);
    this.change(name, value);
  }

  has(name) {
    return this.controls.has(name);
  }

  get(name) {
    return this.controls.get(name).field.value;
  }

  /** @param {object} state of the program */
  show(state) {
    this.state = state;
    for (const [name, control] of this.controls) {
      if (control.offer) control.offer(state.choices?.[name] ?? []);
      const value = state.settings[name];
      control.box.hidden = value === undefined; // it means nothing beside the others
      if (value !== control.known) this.complain(name, ""); // that was of another value
      control.known = value;
      const unfinished = control.row.contains(document.activeElement) || control.why.textContent;
      if (value !== undefined && !unfinished) control.show(value ?? "");
      if (control.declared.choice) control.note.textContent = state.descriptions?.[control.field.value] ?? "";
    }
    if (!this.chips.childElementCount) this.chips.append(...(state.descriptors ?? []).map((name) => this.chip(name)));
  }

  chip(name) {
    const chip = element("button", { type: "button", textContent: name });
    chip.addEventListener("click", () => {
      const { field } = this.focused ?? this.controls.get("strength");
      field.setRangeText(name, field.selectionStart, field.selectionEnd, "end");
      field.focus();
      field.dispatchEvent(new Event("input", { bubbles: true }));
    });
    return chip;
  }

  /** Say beside a setting what is wrong with it; "" takes that back. */
  complain(name, message) {
    const control = this.controls.get(name);
    control.why.textContent = message;
    if (message) control.field.setAttribute("aria-invalid", "true");
    else control.field.removeAttribute("aria-invalid");
  }

  /** Say why a setting is not used. */
  refuse(name, message) {
    const { settings, defaults } = this.state;
    if (settings[name] === defaults[name]) delete this.changed[name];
    else this.changed[name] = settings[name];
    this.complain(name, message);
  }
}

function choice(_, onChange) {
  const field = element("select", {});
  field.addEventListener("change", () => onChange(field.value));
  const offer = (names) => {
    if (names.length === field.options.length) return;
    field.replaceChildren(...names.map((name) => element("option", { value: name, textContent: name || "none" })));
  };
  return { row: field, field, offer, show: (value) => (field.value = value) };
}

/** A number on a slider beside its text, which may be a formula where the setting is a schedule. */
function slider({ label, least, most, step, number }, onChange) {
  const range = element("input", { type: "range", min: least, max: most, step });
  const field = element("input", { type: "text", spellcheck: false, inputMode: number ? "decimal" : "text", autocapitalize: "off" });
  range.setAttribute("aria-label", label);
  const row = element("div", { className: "row" }, range, field);
  const arrange = () => {
    const formula = field.value.trim() !== "" && Number.isNaN(Number(field.value));
    row.parentElement?.classList.toggle("formula", formula && !number);
    if (!formula) range.value = field.value;
  };
  let told = "";
  const tell = () => {
    const text = field.value.trim();
    if (text !== "" && text !== told) onChange((told = text));
  };
  let timer = 0;
  range.addEventListener("input", () => {
    field.value = range.value;
    tell();
  });
  field.addEventListener("input", () => {
    arrange();
    clearTimeout(timer);
    timer = setTimeout(tell, PAUSE);
  });
  field.addEventListener("change", () => {
    clearTimeout(timer);
    tell();
  });
  const show = (value) => {
    field.value = typeof value === "number" ? Number(value.toPrecision(6)) : value;
    told = field.value;
    arrange();
  };
  return { row, field, show };
}

function seed(_, onChange) {
  const field = element("input", { type: "number", min: 0, step: 1, inputMode: "numeric" });
  field.addEventListener("change", () => field.value !== "" && onChange(Number(field.value)));
  const another = element("button", { type: "button", className: "quiet", textContent: "Another", title: "Another seed (N)" });
  another.addEventListener("click", () => {
    field.value = newSeed();
    onChange(Number(field.value));
  });
  return { row: element("div", { className: "row" }, field, another), field, show: (value) => (field.value = value) };
}

export const newSeed = () => Math.floor(Math.random() * 2 ** 31);
