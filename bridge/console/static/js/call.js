// One call that is over: how it ended and whose doing it was, its sound, its words, its tools.

import { unmask, wrapUp } from "./actions.js";
import { attempt, get, may, post, user } from "./api.js";
import { outcomeBadge } from "./badges.js";
import { $, badge, empty, fill, h, toast } from "./dom.js";
import { arms, clock, percent, span, when, words } from "./format.js";
import { sipLadder } from "./ladder.js";
import { sentence } from "./sentences.js";
import { Transcript } from "./transcript.js";
import { Waterfall } from "./waterfall.js";
import { Waveform } from "./waveform.js";

const callId = $("#title").dataset.call;
const box = $("#call");

const BY_WHOM = {
  none: "nobody", caller: "the caller", carrier: "the carrier", bridge: "the bridge", provider: "the AI provider", tool: "a tool", config: "the configuration", supervisor: "a supervisor",
};
const ACTED = /^(supervisor_|whispered|flagged|handed_back|handoff_|agent_resumed|recording_|action_)/;

async function load() {
  const found = await attempt(get(`/calls/${callId}`));
  if (!found) { fill(box, empty("No such call", "It may have been deleted, or it is of a route that you don't see.")); return; }
  if (found.live) { location.replace(`/calls#${callId}`); return; }
  const record = found.record ?? {};
  const call = found.call ?? {};
  const from = call.from ?? record.caller ?? "unknown";
  $("#title").textContent = `${from} on ${call.dialplan ?? record.route}, ${when(call.started_at ?? record.started_at_ms)}`;
  const wave = found.recording && may("recording.play") ? new Waveform(callId) : null;
  const cards = [
    wave?.element,
    h("div", { class: "account" }, ending(found, record, call),
      h("section", { class: "card said", "aria-label": "Conversation" }, h("h2", { text: "Conversation" }), conversation(record, wave)),
      h("div", { class: "stack" }, latency(record), tools(record), people(record))),
    h("section", { class: "card", "aria-label": "SIP", id: "sip", hidden: true }, h("h2", { text: "SIP" })),
    h("section", { class: "card", "aria-label": "Events" }, h("h2", { text: "Events" }), h("ol", { class: "timeline", tabindex: 0, id: "events", "aria-label": "Events" })),
  ];
  fill(box, cards);
  tool("Make a script", "scripts.make", async () => {
    const made = await attempt(post(`/calls/${callId}/script`));
    if (made) toast(`Script written: ${made.path ?? made.id ?? "done"}`, "good");
  });
  if (call.handled_by === user) tool("Wrap up", "queue.accept", async () => { if (await wrapUp(callId)) location.reload(); });
  tool("Show whole numbers", "unmask", () => unmask(callId));
  wave?.load();
  sip();
  if (may("transcript.view")) events(record);
}

function tool(text, permission, act) {
  if (may(permission)) $("#tools").append(h("button", { type: "button", text, onclick: act }));
}

function ending(found, record, call) {
  const outcome = call.outcome ?? record.outcome;
  const fault = call.fault ?? record.fault ?? "none";
  const consent = record.consent;
  // Redis has it at once, the record once its node has answered.
  const wrapped = call.wrap_up_code || call.wrap_up_note ? { code: call.wrap_up_code, note: call.wrap_up_note, by: call.wrapped_up_by } : record.wrap_up ?? {};
  const facts = [
    ["End", outcomeBadge(outcome ?? "unknown")], ["Reason", words(record.reason)], ["Far end's reason", record.far_end_reason],
    ["Fault owner", fault === "none" ? "nobody: it ended as it should" : badge("bad", BY_WHOM[fault] ?? fault, "warn")],
    ["Length", clock(record.duration_ms ?? (call.ended_at - call.started_at))], ["Answered", when(record.answered_at_ms ?? call.answered_at) || "not answered"],
    ["Arm", arms({ ...record, ...call })], ["Model", record.model ?? call.model], ["Codec", record.codec], ["Node", call.node],
    ["Rollout", record.rollout && `${record.rollout}, ${record.rollout_reason}`], ["Caller ID check", record.verstat],
    ["Consent", consent ? `${consent.given === true ? "given" : consent.given === false ? "refused" : "told"}${consent.how ? ` by ${consent.how}` : ""}, text ${consent.version}` : ""],
    ["Voice quality (MOS)", Object.entries(record.mos ?? {}).filter(([, mos]) => mos).map(([way, mos]) => `${way} ${mos}`).join(", ")],
    ["Longest silence", record.longest_silence_ms ? `${span(record.longest_silence_ms)}, waiting for the ${record.longest_silence_cause}` : ""],
    ["Cut by the caller", record.interruptions], ["Cost", record.cost_usd ? `$${record.cost_usd.toFixed(4)}` : ""], ["Recording", found.recording ? "kept" : words(record.recording_stopped) || "none"], ["Had the caller", call.handled_by],
    ["Wrap-up", words(wrapped.code)], ["Note", wrapped.note && `${wrapped.note} (${wrapped.by})`], ["Call id", callId],
  ];
  return h("section", { class: "card", "aria-label": "How it ended" }, h("h2", { text: "How it ended" }), h("dl", { class: "facts" }, facts.filter(([, v]) => v !== undefined && v !== null && v !== "").map(([n, v]) => [h("dt", { text: n }), h("dd", {}, v instanceof Node ? v : String(v))])));
}

function conversation(record) {
  const turns = record.turns ?? [];
  if (!may("transcript.view")) return h("p", { class: "muted", text: "Your role does not show transcripts." });
  if (!turns.length) return h("p", { class: "muted", text: "Nothing was said, or it is not kept any more." });
  const transcript = new Transcript();
  transcript.element.removeAttribute("role");
  transcript.element.removeAttribute("aria-live");
  transcript.element.setAttribute("role", "region");
  turns.forEach((turn, at) => transcript.add({ kind: "turn", item_id: String(at), speaker: turn.speaker, text: turn.text, latency_ms: turn.latency_ms, interrupted: turn.interrupted ? "1" : "0", at_ms: NaN }));
  return transcript.element;
}

function latency(record) {
  const turns = record.latency ?? [];
  if (!turns.length) return null;
  const waterfall = new Waterfall();
  for (const turn of turns) waterfall.add({ at_ms: turn.at_ms, stages: turn.stages_ms, response_ms: turn.response_ms });
  return h("section", { class: "card", "aria-label": "Latency" }, h("h2", { text: "Latency" }), waterfall.element);
}

function tools(record) {
  const runs = record.tools ?? [];
  if (!runs.length) return null;
  const stopped = (run) => !run.ok && run.fault === "none"; // nobody waited for it any more
  const ended = runs.filter((run) => !stopped(run));
  const good = ended.filter((run) => run.ok).length;
  return h("section", { class: "card", "aria-label": "Tools" }, h("h2", { text: ended.length ? `Tools, ${percent(good / ended.length)} succeeded` : "Tools" }),
    h("table", { class: "plain" }, h("thead", {}, h("tr", {}, ["Tool", "Result", "Took"].map((t) => h("th", { scope: "col", text: t })))),
      h("tbody", {}, runs.map((run) => h("tr", {}, h("td", { class: "mono", text: run.name }), h("td", {}, stopped(run) ? "stopped" : badge(run.ok ? "good" : "bad", run.ok ? "ok" : "failed", run.ok ? "good" : "bad")), h("td", { text: span(run.took_ms) }))))));
}

function people(record) {
  const handoffs = record.handoffs ?? [];
  const failures = record.failures ?? [];
  if (!handoffs.length && !failures.length) return null;
  return h("section", { class: "card", "aria-label": "Transfers and failures" }, h("h2", { text: "Transfers and failures" }), h("ul", { class: "stack" },
    handoffs.map((each) => h("li", {}, badge(each.result === "completed" ? "good" : "warn", words(each.result)), ` ${clock(each.at_ms)}, ${each.way} transfer to ${each.target}`)),
    failures.map((each) => h("li", {}, badge("bad", words(each.code), "bad"), ` ${clock(each.at_ms)}, fault of ${BY_WHOM[each.fault] ?? each.fault}`))));
}

/** Show the call's SIP messages, where some are kept. */
async function sip() {
  const found = await get(`/calls/${callId}/sip`).catch(() => null);
  const drawn = found && sipLadder(found.messages);
  if (!drawn) return;
  $("#sip").append(h("div", { class: "rungs", tabindex: 0, role: "region", "aria-label": "SIP messages" }, drawn));
  $("#sip").hidden = false;
}

async function events(record) {
  const list = $("#events");
  let after = "0";
  const seen = [];
  for (;;) {
    const found = await get(`/calls/${callId}/events?after=${after}`).catch(() => null);
    if (!found?.events.length) break;
    after = found.events.at(-1).id;
    seen.push(...found.events);
  }
  const rows = seen.length ? seen.map((event) => [event.at_ms, event]) : (record.events_ms ?? []).map(([at_ms, kind]) => [at_ms, { kind }]);
  fill(list, rows.map(line));
  const acts = seen.filter((event) => ACTED.test(event.kind) && event.by);
  if (acts.length) {
    list.closest("section").before(h("section", { class: "card", "aria-label": "Who acted" }, h("h2", { text: "Who acted" }), h("ol", { class: "timeline" }, acts.map((event) => line([event.at_ms, event])))));
  }
}

/** Return when something was, and what, in a sentence. */
const line = ([at_ms, event]) => h("li", {}, h("span", { class: "muted", text: clock(at_ms) }), h("span", { text: sentence(event) }));

load();
