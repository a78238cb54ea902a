// What may be done to a live call: who, when, and what is asked first.

import { VERBS, attempt, get, may, post, user } from "./api.js";
import { ask } from "./dialogs.js";
import { toast } from "./dom.js";
import { words } from "./format.js";
import { keep, kept } from "./prefs.js";

/** Send an action to the node that has the call; return its result, or null if it was refused. */
export async function perform(callId, action, params = {}) {
  const { title, permission, path, holderPath } = VERBS[action];
  const where = of(callId, may(permission) ? path : holderPath);
  const found = await attempt(post(where, params, { "Idempotency-Key": crypto.randomUUID() }));
  if (!found) return null;
  if (!found.accepted) { toast(`${title}: ${whyNot(found)}`, "bad"); return null; }
  toast(DONE[action]?.(params) ?? `${title}: done`, "good");
  return found.result ?? {};
}

const of = (callId, path) => path.replace("{call_id}", callId);
const whyNot = ({ reason, result }) => WHY[reason]?.(result) ?? words(reason ?? "refused");

/** Reasons that take more words than their own. */
const WHY = {
  held_by: ({ held_by }) => `held by ${held_by}`,
  agent_elsewhere: () => "its agent is at the vendor's, out of our reach. Take the caller over first",
};

/** What is said of a switch, by where it was put. */
const DONE = {
  mute: ({ on }) => (on ? "You are muted" : "You are heard again"),
  hold: ({ on }) => (on ? "The caller is on hold" : "The caller hears you again"),
  pause_recording: ({ on }) => (on ? "The recording is paused" : "The recording goes on"),
  sensitive: ({ on }) => (on ? "Sensitive mode is on" : "Sensitive mode is off"),
};

const talks = (row) => !["ringing", "ended"].includes(row.state);
const mine = (row, user) => row.held_by === user;
/** Who talks by this page hears the call by that. */
const silent = (row) => talks(row) && !row.voice;
const had = (row, user) => mine(row, user) || row.handled_by === user;
const joined = (row, user) => mine(row, user) && row.hold === "joined";
const inTalk = (row, user) => mine(row, user) && !["paused", "awaited"].includes(row.hold);

/** Return whether an action is for whoever is signed in: by a role, or because they have this caller. */
export function isFor(action, row) {
  const { permission, forHolder } = VERBS[action.verb ?? action.id] ?? action;
  return (may(permission) || (forHolder && may(VERBS.accept.permission) && mine(row, user))) && action.shown(row, user);
}

const TAKEN = (row, user) => ({ held_by: user, handled_by: user, hold: "awaited", muted: 0 });
const JOINED = (row, user) => ({ held_by: user, hold: "joined", muted: 0 });
const GIVEN_BACK = () => ({ held_by: "", hold: "", muted: 0 });
const others = (row, user) => !mine(row, user);

/**
 * What may be done, in the order in which it stands there.
 * `verb`: which one decides for whom it is, where the id is none; without a verb, `permission`, and
 * `forHolder`: also for who has accepted the caller;
 * `shown(row, user)`: when there is any sense in it; `first(row, user)`: when it is one of the three
 * at hand, the rest being under More; `isOn(row)`: of a switch; `apart`: it ends what goes on, and
 * stands by itself; `afterwards`: also of a call that is over; `becomes(row, user)`: what the call is
 * once it was done, until its node says so.
 */
export const ACTIONS = [
  { id: "listen", label: "Listen", shown: silent, first: others },
  { id: "listen_private", label: "Listen privately", permission: "monitor.private", shown: silent },
  {
    id: "phone", label: "Listen by phone", verb: "listen", shown: talks,
    run: async (callId) => {
      const given = await ask({
        title: "Listen by your phone", text: "The bridge calls it. Pick up and you hear the call; nobody on the call knows.", button: "Call my phone",
        fields: [phoneField(), ...takeOverField(), ...privateField()],
      });
      if (!given) return null;
      keep("phone", given.via);
      return perform(callId, "listen", given);
    },
  },
  {
    id: "call_in", label: "Call in", verb: "listen", shown: talks,
    run: async (callId) => {
      const given = await ask({ title: "Call in from your phone", text: "You get an address to dial: good once, for a minute.", fields: [...takeOverField(), ...privateField()], button: "Give me an address" });
      const found = given && await attempt(post(`/calls/${callId}/phone-ticket`, given));
      if (found) await ask({ title: "Dial this within a minute", fields: [{ name: "uri", label: "Address", value: found.uri, readonly: true }], button: "Close" });
      return found;
    },
  },
  { id: "whisper", label: "Whisper", shown: talks, first: others },
  {
    id: "show", label: "Show a picture", shown: talks,
    run: async (callId) => {
      const given = await ask({
        title: "Show the AI a picture", text: "The AI sees it; the caller hears what the AI says of it. The voice service gets the file as it is, with what it may say of place and time.", button: "Show it",
        fields: [
          { name: "image", label: "Picture: PNG or JPEG", kind: "picture", required: true },
          { name: "note", label: "Note for the AI: what is it?", kind: "textarea", maxlength: 1000 },
          { name: "when", label: "The AI speaks of it", kind: "select", options: [["now", "Now"], ["next_turn", "From its next turn on"]] },
        ],
      });
      return given && perform(callId, "show", given);
    },
  },
  {
    id: "talk", label: "Connect microphone", permission: "barge", forHolder: true,
    shown: (row, user) => mine(row, user) && !row.voice && ["awaited", "joined"].includes(row.hold), first: mine,
    run: async (callId, row) => {
      const microphone = await checkMicrophone(row, { title: `Talk with ${row.from} again?`, text: "They hear you as soon as you connect.", button: "Connect" });
      return microphone && { microphone };
    },
  },
  {
    id: "take_over", label: "Take over", danger: true, becomes: TAKEN, first: others,
    shown: (row, user) => talks(row) && (!mine(row, user) || ["joined", "paused"].includes(row.hold)),
    run: (callId, row) => stepIn(callId, row, "take_over"),
  },
  {
    id: "join", label: "Three-way", becomes: JOINED, shown: (row, user) => talks(row) && row.state !== "paused" && !joined(row, user),
    run: (callId, row) => stepIn(callId, row, "join", { title: `Talk with ${row.from} and the AI?`, text: "Both hear you, and you hear both.", button: "Join" }),
  },
  {
    id: "mute", label: (row) => (row.muted ? "Unmute" : "Mute"), shown: inTalk, first: mine, isOn: (row) => Boolean(row.muted),
    run: (callId, row) => perform(callId, "mute", { on: !row.muted }), becomes: (row) => ({ muted: row.muted ? 0 : 1 }),
  },
  {
    id: "hold", label: (row) => (row.hold === "on_hold" ? "Off hold" : "Hold"), shown: (row, user) => inTalk(row, user) && row.state === "human" && !joined(row, user), isOn: (row) => row.hold === "on_hold",
    run: (callId, row) => perform(callId, "hold", { on: row.hold !== "on_hold" }), becomes: (row) => ({ hold: row.hold === "on_hold" ? "talking" : "on_hold" }),
  },
  {
    id: "hand_back", label: (row) => (row.hold === "joined" ? "Leave" : "Hand back"), shown: (row, user) => mine(row, user) && row.hold !== "paused", first: mine, becomes: GIVEN_BACK,
    run: async (callId, row) => {
      const title = row.hold === "joined" ? "Leave caller and AI" : "Hand the caller back to the AI";
      const given = await ask({ title, fields: [{ name: "summary", label: "What did you agree on? The AI reads this.", kind: "textarea", maxlength: 1000 }], button: row.hold === "joined" ? "Leave" : "Hand back" });
      return given && perform(callId, "hand_back", given);
    },
  },
  {
    id: "pause", label: "Pause AI", shown: (row) => talks(row) && !row.held_by,
    run: async (callId) => {
      const given = await ask({ title: "Pause the AI", text: "The caller hears that they wait.", fields: [{ name: "auto_resume_s", label: "Go on by itself after, seconds", kind: "number", value: "60", min: 5, max: 600 }], button: "Pause" });
      return given && perform(callId, "pause", given);
    },
  },
  { id: "resume", label: "Resume AI", shown: (row, user) => mine(row, user) && row.hold === "paused", first: mine, run: (callId) => perform(callId, "resume"), becomes: GIVEN_BACK },
  {
    id: "transfer", label: "Transfer", shown: talks, first: mine,
    run: async (callId, row) => {
      const given = await ask({
        title: "Transfer the call", text: "If it fails, the caller is back with the AI.",
        fields: [{ name: "target", label: "To: a target of the route, a number or a SIP address", choices: await targetsOf(row.dialplan), required: true, autocomplete: "off" }, { name: "kind", label: "How", kind: "select", options: [["blind", "Cold: send the caller there"], ["warm", "Warm: ask the person first"]] }, { name: "summary", label: "Briefing: what the person is told first, and the phone shows", kind: "textarea", maxlength: 400 }], button: "Transfer",
      });
      return given && perform(callId, "transfer", given);
    },
  },
  { id: "wrap_up", label: "Wrap up", shown: had, run: (callId) => wrapUp(callId), afterwards: true },
  { id: "pause_recording", label: "Pause recording", shown: talks, run: (callId) => onOff(callId, "pause_recording", "Recording", "Nothing is recorded until you resume it.", false) },
  { id: "sensitive", label: "Sensitive", shown: talks, run: (callId, row) => onOff(callId, "sensitive", "Sensitive mode", "Neither the recording, nor the AI, nor anybody who listens hears the caller until you end it.", row.sensitive) },
  {
    id: "flag", label: "Flag", shown: () => true,
    run: async (callId) => {
      const given = await ask({ title: "Flag this moment", fields: [{ name: "note", label: "Note for QA", kind: "textarea", maxlength: 500 }], button: "Flag" });
      return given && perform(callId, "flag", given);
    },
  },
  {
    id: "end", label: "End call", danger: true, apart: true, shown: () => true,
    run: async (callId, row) => {
      const given = await ask({
        title: `End the call of ${row.from}?`, danger: true, button: "End the call",
        fields: [{ name: "how", label: "How", kind: "select", options: [["politely", "Politely: the AI says goodbye"], ["now", "At once"]] }, { name: "reason", label: "Reason, for the audit", required: true, maxlength: 200 }],
      });
      return given && perform(callId, "end", given);
    },
  },
];

/** Take a caller over, or join them and the AI: the microphone is heard before, unless it is in the call already. */
async function stepIn(callId, row, action, about) {
  const microphone = row.voice ? null : await checkMicrophone(row, about);
  if (!microphone && !row.voice) return null;
  const done = await perform(callId, action);
  if (!done) microphone?.getTracks().forEach((track) => track.stop());
  return done && { microphone };
}

/** Have who has or had a caller say what came of the call, with a code of its route. */
export async function wrapUp(callId) {
  const found = await attempt(get(of(callId, VERBS.wrap_up.path)));
  if (!found) return null;
  const code = { name: "code", label: "What came of it", kind: "select", options: found.codes.map((each) => [each, words(each)]) };
  const given = await ask({ title: "Wrap the call up", fields: [...(found.codes.length ? [code] : []), { name: "note", label: "Note", kind: "textarea", maxlength: 1000 }], button: "Save" });
  const saved = given && await attempt(post(of(callId, VERBS.wrap_up.path), given));
  if (saved) toast(saved.recorded ? "Wrap-up saved" : "Wrap-up saved, not in the record: its node did not answer", saved.recorded ? "good" : "warn");
  return saved;
}

/** Return the names that a route has for people to hand calls to. */
async function targetsOf(route) {
  const found = await get("/routes").catch(() => null);
  return Object.keys(found?.routes.find(({ name }) => name === route)?.handoff?.targets ?? {});
}

/** Have the caller hear exactly this, once it was read again. */
export async function say(callId, text) {
  const sure = await ask({ title: "Say exactly this?", text: `The caller hears it now, over the AI: “${text}”`, button: "Say it" });
  return sure && perform(callId, "say", { text });
}

/** Show a caller's whole number, for a reason that is put down. */
export async function unmask(callId) {
  const given = await ask({ title: "Show the whole numbers", text: "Who looks, and why, stands in the audit.", fields: [{ name: "reason", label: "Reason", required: true, maxlength: 500 }], button: "Show" });
  const found = given && await attempt(post(`/calls/${callId}/unmask`, given));
  if (!found) return;
  const asserted = found.asserted ? ` The trunk vouches for: ${found.asserted}.` : "";
  await ask({ title: "Whole numbers", text: `Caller: ${found.caller || "withheld"}. Dialled: ${found.called}.${asserted}`, button: "Close" });
}

const phoneField = () => ({ name: "via", label: "Your phone", value: kept("phone", ""), placeholder: "sip:204@pbx.example", required: true, maxlength: 200 });
const takeOverField = () => (may("barge") ? [{ name: "may_take_over", kind: "check", label: "*3 on it takes the caller over" }] : []);

const privateField = () => (may("monitor.private") ? [{ name: "private", kind: "check", label: "Privately: no other supervisor sees it" }] : []);

/** Accept a waiting caller: by the microphone that is given, or by one's own phone. */
export async function accept(callId, microphone) {
  if (microphone) return perform(callId, "accept");
  const given = await ask({ title: "Accept by your phone", text: "The bridge calls it. Pick up and you have the caller.", fields: [phoneField()], button: "Accept, call my phone" });
  if (!given) return null;
  keep("phone", given.via);
  return perform(callId, "accept", given);
}

async function onOff(callId, action, what, text, isOn) {
  const given = await ask({ title: what, text, fields: [{ name: "on", label: "Now", kind: "select", value: isOn ? "resume" : "pause", options: [["pause", "Begin"], ["resume", "End"]] }], button: "OK" });
  return given && perform(callId, action, { on: given.on === "pause" });
}

/** Ask for the microphone, show that it hears something, and only then let somebody take over. */
export async function checkMicrophone(row, { title = `Take the caller ${row.from} over?`, text = "The AI stops at once and the caller hears you.", button = "Take over" } = {}) {
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true } });
  } catch {
    toast("No microphone: allow it for this page, then try again.", "bad");
    return null;
  }
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  context.createMediaStreamSource(stream).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  const asked = ask({
    title, danger: true, button, text: `${text} Say something: the bar below should move.`,
  });
  const meter = document.createElement("meter");
  Object.assign(meter, { min: 0, max: 1, low: 0.02, value: 0 });
  meter.setAttribute("aria-label", "Your microphone's level");
  document.querySelector("dialog[open] p")?.after(meter);
  const timer = setInterval(() => {
    analyser.getFloatTimeDomainData(samples);
    meter.value = Math.min(1, 4 * Math.max(...samples.map(Math.abs)));
  }, 100);
  const given = await asked;
  clearInterval(timer);
  await context.close();
  if (!given) stream.getTracks().forEach((track) => track.stop());
  return given ? stream : null;
}
