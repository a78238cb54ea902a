// Rollouts: the arms side by side, the verdict in words, and every change with a reason.

import { attempt, may, post } from "./api.js";
import { ask } from "./dialogs.js";
import { $, badge, empty, fill, h, toast } from "./dom.js";
import { learnClock, percent, when, words } from "./format.js";
import { poll } from "./poll.js";

let drawn = "";

function draw({ at_ms, rollouts }) {
  learnClock(at_ms);
  const text = JSON.stringify(rollouts);
  if (text === drawn) return;
  drawn = text;
  fill($("#list"), rollouts.length ? rollouts.map(card) : empty("No rollouts", "The settings declare none (rollouts:)."));
}

const VERDICTS = {
  healthy: ["good", "The new arm does as well as the old one."], degraded: ["warn", "The new arm does worse than it may."], failed: ["bad", "The new arm harms calls."],
  inconclusive: ["info", "There are too few calls to tell."], no_data: ["warn", "No calls come in: nothing can be told."],
};

function card(one) {
  const names = Object.keys(one.arms);
  const old = names.find((name) => one.arms[name].role === "control");
  const fresh = names.find((name) => one.arms[name].role === "treatment");
  const share = one.arms[fresh].percent;
  const split = h("div", { class: "split", role: "img", "aria-label": `${old} gets ${100 - share} %, ${fresh} ${share}% of new calls` }, h("span", { class: "control", text: `${old} ${100 - share}%` }), h("span", { class: "treatment", text: `${fresh} ${share}%` }));
  split.children[0].style.flex = `${Math.max(100 - share, 0)} 1 0`;
  split.children[1].style.flex = `${Math.max(share, 0)} 1 0`;
  for (const [part, of] of [[0, 100 - share], [1, share]]) split.children[part].hidden = of <= 0;
  return h("section", { class: "card stack", "aria-labelledby": `flag-${one.flag}` },
    h("div", { class: "spread" }, h("h2", { id: `flag-${one.flag}`, text: one.flag }), h("span", { class: "toolbar" },
      one.ai_off ? badge("bad", "the AI is off", "bad") : null, one.halt !== "none" ? badge("bad", words(one.halt), "bad") : null, one.paused ? badge("warn", "paused", "warn") : null, h("span", { class: "muted small", text: `version ${one.version}${one.leader ? `, decided on ${one.leader}` : ", nobody decides now"}` }))),
    split, steps(one, share), h("div", { class: "arms" }, arm(one, old), arm(one, fresh)), verdict(one), buttons(one, share), changes(one));
}

function steps(one, share) {
  return h("ol", { class: "steps", "aria-label": "Steps" }, [0, ...one.settings.steps].map((step) => h("li", { class: step === share ? "here" : step < share ? "done" : "", "aria-current": step === share ? "step" : null, text: `${step}%${one.settings.gates.includes(step) ? " (a person's)" : ""}` })));
}

function arm(one, name) {
  const about = one.arms[name];
  const counts = one.verdict?.[about.role];
  const facts = [["Share of new calls", `${about.percent}%`], ["Calls now", about.calls_now]];
  if (counts) facts.push(["Calls judged in this step", counts.calls], ["Bad ones", counts.calls ? `${counts.bad} (${percent(counts.bad / counts.calls)})` : "0"]);
  return h("div", { class: `arm ${about.stopped ? "off" : ""}` },
    h("div", { class: "spread" }, h("h3", { text: `${name}, ${about.role === "control" ? "the old arm" : "the new arm"}` }), about.stopped ? badge("bad", "off", "bad") : badge("good", "on", "good")),
    h("dl", { class: "facts" }, facts.map(([n, v]) => [h("dt", { text: n }), h("dd", { text: String(v) })])),
    may("kill") ? h("div", {}, h("button", { type: "button", class: about.stopped ? "" : "danger", text: about.stopped ? `Switch ${name} on` : `Kill switch: ${name} off`, onclick: () => change(one, "switches/arm", about.stopped ? `Switch ${name} on` : `Switch ${name} off`, about.stopped ? "New calls may get it again." : "No new call gets it. Calls that go on stay.", { arm: name, on: about.stopped }, !about.stopped) })) : null);
}

function verdict(one) {
  const found = one.verdict;
  const next = one.held ? `No step by itself: ${one.held}.` : `Next step: ${one.next_step}%, once the verdict is healthy.`;
  if (!found) return h("div", { class: "summary item" }, h("p", { text: `No verdict yet: nobody has looked. ${next}` }));
  const [kind, said] = VERDICTS[found.verdict] ?? ["info", words(found.verdict)];
  const evidence = [
    found.e_value !== undefined ? `Evidence against it: E = ${Number(found.e_value).toPrecision(3)}; at 100 it is rolled back.` : null,
    found.p95_difference_ms !== null && found.p95_difference_ms !== undefined ? `Answers' p95 differ by ${found.p95_difference_ms > 0 ? "+" : ""}${found.p95_difference_ms} ms (95% interval ${found.p95_interval_ms?.[0]} to ${found.p95_interval_ms?.[1]} ms).` : null,
    found.reasons?.length ? `Bad calls: ${found.reasons.map((each) => `${each.arm} ${words(each.code)} × ${each.calls}`).join(", ")}.` : null,
    found.rescued ? `${found.rescued} ${found.rescued === 1 ? "call was" : "calls were"} rescued by the other arm.` : null,
  ];
  return h("div", { class: "stack" },
    h("p", {}, badge(kind, words(found.verdict), kind), ` ${said} ${found.why?.length ? `${found.why.join("; ")}. ` : ""}${next}`),
    h("ul", {}, evidence.filter(Boolean).map((text) => h("li", { class: "muted small", text }))));
}

function buttons(one, share) {
  if (!may("rollout.change") && !may("kill")) return null;
  const button = (text, path, about, given, danger, permission = "rollout.change") => (may(permission) ? h("button", { type: "button", class: danger ? "danger" : "", text, onclick: () => change(one, path, text, about, given, danger) }) : null);
  return h("div", { class: "toolbar", role: "group", "aria-label": `Changes of ${one.flag}` },
    one.next_step !== null ? button(`Step to ${one.next_step}%`, "steps/set", `The new arm gets ${one.next_step}% of new calls, ${share}% now.`, { percent: one.next_step }) : null,
    may("rollout.change") ? h("button", { type: "button", text: "Set share…", onclick: () => setShare(one) }) : null,
    one.paused ? button("Resume", "steps/resume", "Steps are taken again by themselves.", {}) : button("Pause", "steps/pause", "The share stays. Rollbacks still happen.", {}),
    one.halt === "none" ? button("Roll back", "steps/rollback", "New calls get the old arm. Calls that go on stay where they are.", {}, true) : button("Arm again", "steps/rearm", "The new arm may be tried again, from 0%, with no evidence against it.", { force: true }, true),
    one.ai_off ? button("Switch the AI on", "switches/ai", "New calls get the AI again.", { on: true }, false, "kill") : button("AI off", "switches/ai", "Every new call gets the fallback: people or voicemail. This is the big switch.", { on: false }, true, "kill"));
}

async function setShare(one) {
  const given = await ask({ title: `Share of the new arm: ${one.flag}`, fields: [{ name: "percent", label: "Percent of new calls", kind: "number", value: String(Object.values(one.arms).find((a) => a.role === "treatment").percent), min: 0, max: 100, step: 0.1 }, { name: "reason", label: "Reason, in the history for ever", required: true, maxlength: 500 }], button: "Set" });
  if (given) await send(one, "steps/set", given);
}

async function change(one, path, title, text, given, danger = false) {
  const said = await ask({ title: `${title}: ${one.flag}`, text, fields: [{ name: "reason", label: "Reason, in the history for ever", required: true, maxlength: 500 }], button: title, danger });
  if (said) await send(one, path, { ...given, ...said });
}

async function send(one, path, given) {
  const found = await attempt(post(`/rollouts/${one.flag}/${path}`, { version: one.version, ...given }));
  if (found) toast(`${words(found.action)}: version ${found.version}; every node follows within a second`, "good");
  drawn = "";
  again();
}

function changes(one) {
  if (!one.changes.length) return h("p", { class: "muted small", text: "Nobody has changed it yet." });
  return h("details", {}, h("summary", { text: `History: ${one.changes.length} latest changes` }), h("div", { class: "table-box" }, h("table", { class: "plain" },
    h("thead", {}, h("tr", {}, ["When", "What", "Share", "Who", "Why"].map((t) => h("th", { scope: "col", text: t })))),
    h("tbody", {}, one.changes.map((each) => h("tr", {}, h("td", { class: "nowrap", text: when(Number(each.at_ms)) }), h("td", { text: words(each.action) }), h("td", { class: "nowrap", text: `${each.was / 10} → ${each.share / 10}%` }), h("td", { text: each.author }), h("td", { text: each.reason })))))));
}

const again = poll("/rollouts", 2000, "rollouts", draw);
