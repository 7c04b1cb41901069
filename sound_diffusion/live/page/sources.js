/** What can be heard: a microphone, the sound of a shared tab or screen, a file that plays. */

import { SpeakerDelay } from "./speaker-delay.js";

/** Sound as it is: what browsers do to speech ruins music. */
const UNTOUCHED = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };

/**
 * @typedef {object} Source
 * @property {string} kind "microphone", "share" or "file"
 * @property {string} title
 * @property {AudioNode} node
 * @property {SpeakerDelay} [speakers] where it also plays
 * @property {() => void} [play] where it waits until there is somebody to listen
 * @property {(reason: string) => void} onEnd called where it ends by itself
 * @property {() => void} stop
 */

/** Why there is no sound, and what to do, for those who read it. */
export class SourceError extends Error {}

/** @returns {string} why a microphone cannot be had in this page at all, "" where it can be asked for */
export function whyNoMicrophone() {
  if (navigator.mediaDevices?.getUserMedia) return "";
  if (window.isSecureContext) return "This browser offers pages no microphone. Play a file instead.";
  return (
    "Browsers give a microphone only to pages from this computer or by https, and this one came by plain http from " +
    `${location.hostname}. Open it through an ssh tunnel (ssh -L ${location.port}:localhost:${location.port} …), or play a file instead.`
  );
}

/** @returns {string} why no tab or screen can be shared, "" where it can be asked for */
export function whyNoShare() {
  if (navigator.mediaDevices?.getDisplayMedia) return "";
  if (window.isSecureContext) return "This browser cannot share a tab or a screen. Play a file instead.";
  return "Nor do they give such a page the sound of a tab.";
}

/**
 * @param {AudioContext} context
 * @param {string} [device] its id; the system's default where it is left out
 * @returns {Promise<Source>}
 */
export async function openMicrophone(context, device) {
  const why = whyNoMicrophone();
  if (why) throw new SourceError(why);
  const audio = { ...UNTOUCHED, ...(device ? { deviceId: { exact: device } } : {}) };
  const stream = await navigator.mediaDevices.getUserMedia({ audio }).catch((error) => {
    throw new SourceError(MICROPHONE_ERRORS[error.name] ?? `The microphone cannot be opened (${error.message}).`);
  });
  return fromStream(context, stream, "microphone", stream.getAudioTracks()[0].label || "Microphone");
}

const MICROPHONE_ERRORS = {
  NotAllowedError:
    "This page may not use the microphone. Allow it by the sign beside the address, and in the privacy settings of " +
    "the system; then choose it again. Or play a file instead.",
  NotFoundError: "No microphone or line input is connected. Connect one and choose it again, or play a file instead.",
  NotReadableError: "Another program holds the microphone. Close that one and choose it again, or play a file instead.",
  OverconstrainedError: "That input is no longer connected. Choose another one, or play a file instead.",
};

/**
 * @param {AudioContext} context
 * @returns {Promise<Source>}
 */
export async function openShare(context) {
  const why = whyNoShare();
  if (why) throw new SourceError(why);
  // Browsers ask for a picture too; it is not looked at.
  const wanted = { video: { frameRate: 1 }, audio: { ...UNTOUCHED, suppressLocalAudioPlayback: false } };
  const stream = await navigator.mediaDevices
    .getDisplayMedia({ ...wanted, systemAudio: "include" })
    .catch((error) => {
      if (error.name === "NotAllowedError") throw new SourceError("Nothing was shared.");
      throw new SourceError(`Nothing can be shared (${error.message}).`);
    });
  if (!stream.getAudioTracks().length) {
    for (const track of stream.getTracks()) track.stop();
    throw new SourceError(
      "What you shared brought no sound. In Chrome and Edge, share a tab and leave “Also share tab audio” on; other " +
        "browsers and the whole screen often cannot. Choose it again, or use a loopback device as the microphone.",
    );
  }
  return fromStream(context, stream, "share", stream.getVideoTracks()[0]?.label.includes("screen") ? "Screen" : "Tab");
}

/** @returns {Source} */
function fromStream(context, stream, kind, title) {
  const source = { kind, title, node: context.createMediaStreamSource(stream), onEnd: () => {} };
  const [track] = stream.getAudioTracks();
  track.onended = () => source.onEnd(kind === "share" ? "The share has ended." : "The microphone is gone.");
  source.stop = () => {
    track.onended = null;
    for (const each of stream.getTracks()) each.stop();
  };
  return source;
}

/**
 * @param {AudioContext} context
 * @param {File} file
 * @returns {Promise<Source>}
 */
export async function openFile(context, file) {
  const element = new Audio(URL.createObjectURL(file));
  const source = { kind: "file", title: file.name, onEnd: () => {} };
  source.node = context.createMediaElementSource(element);
  source.speakers = new SpeakerDelay(context, source.node);
  element.onended = () => source.onEnd("The file has come to its end.");
  source.stop = () => {
    element.onended = null;
    element.pause();
    source.speakers.close();
    URL.revokeObjectURL(element.src);
  };
  source.play = () => element.play();
  try {
    await element.play(); // now, while a press of a button allows it
    element.pause();
    element.currentTime = 0;
  } catch (error) {
    source.stop();
    throw new SourceError(`This browser cannot play ${file.name}. WAV, MP3, FLAC, Ogg and M4A do well (${error.message}).`);
  }
  return source;
}

/** @returns {Promise<{id: string, label: string}[]>} inputs; their names are told only once one was allowed */
export async function listMicrophones() {
  const devices = (await navigator.mediaDevices?.enumerateDevices?.()) ?? [];
  return devices
    .filter((device) => device.kind === "audioinput" && device.label)
    .map((device) => ({ id: device.deviceId, label: device.label }));
}
