/** The page: sound goes out, pictures come in, and what is pressed is done. */

import { Chooser } from "./chooser.js";
import { Connection } from "./connection.js";
import { Controls, newSeed } from "./controls.js";
import { byId } from "./elements.js";
import { Hearing } from "./hearing.js";
import { listen } from "./keyboard.js";
import { Level } from "./level.js";
import { Recent } from "./measures.js";
import { Recording } from "./recording.js";
import { Rest } from "./rest.js";
import { View } from "./view.js";
import { ViewControls } from "./view-controls.js";
import { keepAwake } from "./wake-lock.js";

const LATENCY_SECONDS = 5; // of which latency is told
const READOUT_EVERY = 500; // ms
const STRENGTH_STEP = 0.05;
const SETTLED = 5; // pictures whose latency is known, before the speakers follow it

const body = document.body.classList;
/** @type {import("./sources.js").Source | null} what is heard now */
let source = null;
/** @type {any} what the program has said last */
let state = { model: "loading", role: "painter", settings: {} };
let stats = {};
let trouble = "Looking for the program …";
let ended = ""; // why it is no longer heard
const latencies = new Recent(LATENCY_SECONDS);
const seen = new Recent(2);

const level = new Level();
const hearing = new Hearing((clock, samples) => {
  connection.sendSamples(clock, samples, hearing.context.sampleRate);
  level.hear(samples);
});
const view = new View(byId("picture"), (picture) => {
  body.add("seen");
  seen.add(1);
  if (!source || picture.since !== since) return;
  const latency = hearing.now - picture.clock;
  latencies.add(latency);
  connection.send({ type: "shown", index: picture.index, latency_ms: Math.round(10_000 * latency) / 10 });
  if (latencies.entries.length >= SETTLED) source.speakers?.follow(latencies.quantile(0.5));
});
/** Counts starts: a picture of before the last one has a clock of before. */
let since = 0;

const controls = new Controls(byId("controls"), (settings) => connection.send({ type: "settings", settings }));
const viewControls = new ViewControls(byId("controls"), (look) => view.setLook(look));
const recording = new Recording((on) => connection.send({ type: "record", on }));
const chooser = new Chooser(() => hearing.wake(), start);
const rest = new Rest(() => Boolean(source || state.role === "watcher") && !chooser.isOpen && byId("panel").hidden && byId("take").hidden);

const connection = new Connection({
  open() {
    trouble = "";
    byId("retry").hidden = true;
    if (source) begin();
    tell();
  },
  message(message) {
    if (message.type === "state") show(message);
    else if (message.type === "refused") refuse(message);
    else if (message.type === "held" && controls.has(message.setting)) controls.complain(message.setting, message.message);
    else if (message.type === "stats") stats = message;
    else if (message.type === "recording") recording.tell(message);
  },
  picture(picture) {
    connection.send({ type: "got", index: picture.index });
    view.show({ ...picture, since });
  },
  lost(reason, final) {
    trouble = reason || "The program cannot be reached.";
    if (!final) trouble += " Trying again\u00a0…";
    byId("retry").hidden = !final;
    recording.show({ on: false, possible: false });
    latencies.clear();
    tell();
  },
});

/** @param {import("./sources.js").Source} opened what is heard from now on */
function start(opened) {
  source?.stop();
  source = opened;
  ended = "";
  source.onEnd = (reason) => stop(reason);
  hearing.connect(source.node);
  if (state.model === "ready") source.play?.();
  begin();
  keepAwake(true);
  tell();
}

/** Tell the program that sound follows, and what was set here. */
function begin() {
  since++;
  latencies.clear();
  view.pause();
  connection.send({ type: "start", rate: hearing.context.sampleRate, format: "f32", settings: controls.changed });
}

/** @param {string} [reason] where nobody asked for it */
function stop(reason = "") {
  if (!source) return;
  connection.send({ type: "stop" });
  hearing.disconnect();
  source.stop();
  source = null;
  level.clear();
  latencies.clear();
  keepAwake(false);
  ended = reason;
  tell();
}

function toggle() {
  if (source) stop();
  else if (chooser.again) chooser.again();
  else chooser.open(Boolean(view.newest));
}

function show(message) {
  if (message.model === "ready" && state.model !== "ready") source?.play?.();
  const promoted = state.role === "watcher" && message.role === "painter";
  state = message;
  controls.show(state);
  body.toggle("watching", state.role === "watcher");
  if (state.role === "watcher") chooser.close();
  if (promoted) chooser.open(false);
  recording.show({ on: Boolean(state.recording), possible: Boolean(state.heard) && connection.isOpen });
  tell();
}

function refuse({ setting, message }) {
  if (controls.has(setting)) controls.refuse(setting, message);
  else if (setting) say(message);
  else stop(message); // it cannot be painted
}

/** Say something once. */
function say(text, isTrouble = true) {
  byId("status-text").textContent = text;
  byId("status").classList.toggle("trouble", isTrouble);
}

/** Say how things stand. */
function tell() {
  const loading = state.model === "loading" ? "The model is being loaded …" : "";
  const failed = state.model === "failed" ? state.message : "";
  const listening = source ? `Listening to ${source.title}` : "";
  const watching = state.role === "watcher" ? "You watch what another page plays" : "";
  say(trouble || failed || ended || loading || watching || listening, Boolean(trouble || failed || ended));
  byId("play").setAttribute("aria-pressed", Boolean(source));
  byId("play").setAttribute("aria-label", source ? "Stop" : "Start");
  byId("play").title = `${source ? "Stop" : "Start"} (Space)`;
  byId("source-title").textContent = source?.title ?? "Choose a source";
  rest.wake();
}

function readOut() {
  const latency = latencies.quantile(0.5);
  const playing = (source || state.role === "watcher") && seen.rate > 0;
  const parts = playing ? [`${seen.rate.toFixed(seen.rate < 9.95 ? 1 : 0)} a second`] : [];
  if (playing && !Number.isNaN(latency)) parts.push(`${Math.round(1000 * latency)} ms`);
  if (recording.time) parts.unshift(recording.time);
  byId("readout").textContent = parts.join("  ·  ");
  const milliseconds = (value) => (Number.isNaN(value) || value === undefined ? "–" : `${Math.round(value)} ms`);
  viewControls.showNumbers({
    "Pictures a second": playing ? seen.rate.toFixed(1) : "–",
    "Latency, median": milliseconds(1000 * latency),
    "Latency, 95 of 100 below": milliseconds(1000 * latencies.quantile(0.95)),
    "Painting one": source ? milliseconds(stats.painting_ms) : "–",
    "Pictures left out": source ? (stats.dropped ?? 0) : "–",
    "Blocks of sound left out": hearing.dropped + connection.dropped,
  });
}

function save() {
  if (!view.newest && !view.shown) return;
  const { blob, index } = view.newest ?? view.shown;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `sound-diffusion-${String(index).padStart(5, "0")}.jpg`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function toggleFull() {
  if (document.fullscreenElement) document.exitFullscreen();
  else document.documentElement.requestFullscreen?.().catch((error) => say(`No full screen (${error.message}).`));
}

/** @param {boolean} on */
function showPanel(on) {
  byId("panel").hidden = !on;
  body.toggle("adjusting", on);
  byId("adjust").setAttribute("aria-expanded", on);
  if (on) byId("panel-close").focus({ focusVisible: false });
  else byId("adjust").focus({ focusVisible: false });
}

function addStrength(step) {
  const strength = Number.parseFloat(controls.get("strength")); // of a formula, the number that it begins with
  if (Number.isNaN(strength)) return;
  controls.set("strength", Math.round(100 * Math.min(Math.max(strength + step, 0), 1)) / 100);
}

function escape() {
  if (!byId("take").hidden) recording.close();
  else if (!byId("panel").hidden) showPanel(false);
  else if (chooser.isOpen && !byId("chooser-close").hidden) chooser.close();
}

const chooseSource = () => (chooser.isOpen && (source || view.shown) ? chooser.close() : chooser.open(Boolean(source || view.shown)));
const togglePanel = () => showPanel(byId("panel").hidden);
const ask = () => byId("help").showModal();

byId("play").addEventListener("click", toggle);
byId("source").addEventListener("click", chooseSource);
byId("save").addEventListener("click", save);
byId("full").addEventListener("click", toggleFull);
byId("adjust").addEventListener("click", togglePanel);
byId("panel-close").addEventListener("click", () => showPanel(false));
byId("ask").addEventListener("click", ask);
byId("retry").addEventListener("click", () => connection.open());
document.addEventListener("fullscreenchange", () => byId("full").setAttribute("aria-pressed", Boolean(document.fullscreenElement)));
document.addEventListener("visibilitychange", () => document.hidden || !source || hearing.wake());
listen([
  { key: " ", shown: "Space", does: "start, stop", act: toggle },
  { key: "o", does: "choose what is heard", act: chooseSource },
  { key: "f", does: "full screen", act: toggleFull },
  { key: "c", does: "controls", act: togglePanel },
  { key: "arrowup", shown: "↑", does: "more strength", act: () => addStrength(STRENGTH_STEP) },
  { key: "arrowdown", shown: "↓", does: "less strength", act: () => addStrength(-STRENGTH_STEP) },
  { key: "n", does: "a new seed", act: () => controls.set("seed", newSeed()) },
  { key: "r", does: "record, end the recording", act: () => recording.toggle() },
  { key: "p", does: "save this picture", act: save },
  { key: "w", does: "the whole picture, or fill the window", act: () => viewControls.toggle("fill") },
  { key: "q", does: "calm: nothing flashes", act: () => viewControls.toggle("calm") },
  { key: "?", does: "this help", act: ask },
  { key: "escape", shown: "Esc", does: "close what is open", act: escape },
]);
setInterval(readOut, READOUT_EVERY);
chooser.open(false);
connection.open();
tell();
