// One live call: its conversation as it streams, its latency, and what may be done about it.

import { ActionBar } from "./action_bar.js";
import { ACTIONS, isFor, perform, say, unmask } from "./actions.js";
import { LISTENING, Listening } from "./audio.js";
import { VERBS, attempt, get, may, user } from "./api.js";
import { ask } from "./dialogs.js";
import { $, badge, clip, fill, h } from "./dom.js";
import { age, arms, span, when } from "./format.js";
import { healthMark, stateBadge } from "./health.js";
import { sipLadder } from "./ladder.js";
import { follow } from "./stream.js";
import { Transcript } from "./transcript.js";
import { Waterfall } from "./waterfall.js";
import { watchersOf } from "./watchers.js";

const YOURS = { joined: "you are in the call", on_hold: "you have the caller on hold", paused: "you have paused the AI" };
const OTHERS = { joined: "in the call", on_hold: "on hold", paused: "AI paused" };
/** Return who has the caller, and how. */
function holdOf({ held_by: holder, hold, muted }) {
  if (holder === user) return `${YOURS[hold] ?? "you have the caller"}${muted ? ", muted" : ""}`;
  return [`held by ${holder}`, OTHERS[hold], muted && "muted"].filter(Boolean).join(", ");
}

const EXPECTED_MS = 3000;  // the list knows of an action within a second

const TABS = [["transcript", "Transcript"], ["latency", "Latency"], ["sip", "SIP"], ["details", "Details"]];

export class Drawer {
  constructor(element, { onClose } = {}) {
    this.element = element;
    this.onClose = onClose;
    this.callId = null;
    this.row = null;
    this.stop = null;
    this.listening = null;
    // A page that is closed or loaded anew takes the microphone away, too.
    window.addEventListener("beforeunload", (event) => { if (this.talks) event.preventDefault(); });
  }

  /** Show a call. `row`: what the list knows of it. */
  open(callId, row) {
    if (this.callId === callId) { this.element.querySelector("h2").focus(); return; }
    this.#leave();
    this.callId = callId;
    this.row = row;
    this.expects = null;
    this.over = false;
    this.transcript = new Transcript();
    this.waterfall = new Waterfall();
    this.#draw();
    this.element.hidden = false;
    this.update(row);
    this.element.querySelector("h2").focus();
    if (may("transcript.view")) {
      this.stop = follow(`/calls/${callId}/stream`, {
        event: (event) => this.#take(event),
        ended: () => this.ended(),
      }, (state, old_ms) => this.panel.classList.toggle("is-stale", state !== "live" && old_ms !== Infinity), "this call's transcript");
    } else {
      fill(this.scroll, h("p", { class: "muted", text: "Your role does not show transcripts." }));
    }
  }

  /** Close it, unless somebody's voice is in the call, and they stay. */
  async close() {
    if (this.talks && !(await this.mayLeave())) return;
    this.#leave();
    this.element.hidden = true;
    this.onClose?.();
  }

  /** Whether this page's microphone is in the call. */
  get talks() { return Boolean(this.listening?.talks); }

  /** Ask somebody whose voice is in the call whether they leave it, since their caller would wait. */
  async mayLeave() {
    const text = "Your microphone is in this call. Once you leave, the caller hears tones for ten seconds, then the AI goes on with them.";
    return Boolean(await ask({ title: `Leave ${this.row.from}?`, text, button: "Leave", danger: true }));
  }

  #leave() {
    this.stop?.();
    this.stop = null;
    this.listening?.close();
    this.listening = null;
    this.callId = null;
  }

  #draw() {
    this.head = h("div", { class: "facts-line" });
    this.why = h("p", { class: "small" });
    this.summary = h("p", { class: "summary", hidden: true });
    this.bar = new ActionBar((id) => this.act(id));
    this.drawnActions = null;  // of another call, though it may be in the same state
    this.audio = h("div", { class: "listening", hidden: true });
    this.scroll = h("div", { class: "scroll" }, this.transcript.element);
    this.pill = h("button", { type: "button", class: "pill", hidden: true, text: "New messages", onclick: () => this.#toEnd() });
    // Who scrolls up is left there; who only has less room, as when they listen, is not.
    this.following = true;
    this.reached = 0;
    this.scroll.addEventListener("scroll", () => {
      this.following = this.#atEnd();
      if (this.following) this.pill.hidden = true;
    });
    this.resized?.disconnect();
    this.resized = new ResizeObserver(() => { if (this.following && this.tab === "transcript") this.#toEnd(); });
    this.resized.observe(this.scroll);
    const tabs = h("div", { class: "tabs", role: "tablist", "aria-label": "About this call" }, TABS.map(([id, text], at) =>
      h("button", { type: "button", role: "tab", id: `tab-${id}`, "aria-controls": "drawer-panel", "aria-selected": String(at === 0), tabindex: at ? -1 : 0, text, onclick: () => this.#tab(id) })));
    tabs.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const at = TABS.findIndex(([id]) => id === this.tab);
      this.#tab(TABS[(at + step + TABS.length) % TABS.length][0]);
      $(`#tab-${this.tab}`).focus();
    });
    this.tab = "transcript";
    this.panel = h("div", { class: "panel", id: "drawer-panel", role: "tabpanel", "aria-labelledby": "tab-transcript" }, this.scroll, this.pill);
    this.title = h("h2", { tabindex: -1 });
    fill(
      this.element,
      h("header", {}, h("div", { class: "title" }, this.title, h("button", { type: "button", class: "quiet", "aria-label": "Close the call", onclick: () => this.close() }, "Close ", h("kbd", { text: "Esc" }))), this.head, this.why, this.summary),
      this.bar.element, this.audio, tabs, this.panel, this.#composer(),
    );
  }

  #composer() {
    if (!may(VERBS.whisper.permission)) return null;
    this.text = h("textarea", { "aria-label": "To the AI, or for the AI to say", placeholder: "Whisper to the AI: only it will know…", maxlength: 1000 });
    const now = h("input", { type: "checkbox" });
    this.whisperNow = now;
    const send = async (action) => {
      const text = this.text.value.trim();
      if (!text) { this.text.focus(); return; }
      const callId = this.callId;
      const done = action === "say" ? await say(callId, text) : await perform(callId, action, { text, when: now.checked ? "now" : "next_turn" });
      if (done) this.text.value = "";
    };
    this.text.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); send("whisper"); }
    });
    this.composer = h("div", { class: "composer" }, this.text,
      h("div", { class: "spread" }, h("label", { class: "check" }, now, "Apply now (else with its next turn)"),
        h("div", { class: "toolbar" }, h("button", { type: "button", text: "Say exactly", title: "The caller hears these words, now", onclick: () => send("say") }), h("button", { type: "button", class: "primary", onclick: () => send("whisper") }, "Whisper"))));
    return this.composer;
  }

  /** Take what the list says of the call. */
  update(row) {
    const expected = this.#expected(row);
    const lets = this.row.held_by === user && expected.held_by !== user;
    this.row = expected;
    if (lets) this.#givenBack();
    this.#show({ ...expected, voice: this.talks });
  }

  /** Return a row as an action has just left the call, where the list does not know of it yet. */
  #expected(row) {
    const { before, values, until } = this.expects ?? { values: {} };
    const names = Object.keys(values);
    if (performance.now() > until || names.some((name) => (row[name] || "") !== (before[name] || ""))) this.expects = null;
    return { ...row, ...this.expects?.values };
  }

  #expect(before, values) {
    this.expects = { before, values, until: performance.now() + EXPECTED_MS };
    this.update(before);
  }

  #show(row) {
    this.row = row;
    this.listening?.update(row);
    fill(this.title, clip(row.from), h("span", { class: "clip" }, h("span", { class: "visually-hidden", text: " on " }), row.dialplan ?? "no route"));
    this.tick();
    fill(this.why, row.health_reasons?.length ? [h("b", { text: "Why: " }), row.health_reasons.join(", ")] : h("span", { class: "muted", text: "Nothing is wrong with this call." }));
    this.summary.hidden = !(row.handoff_summary && row.held_by === user);
    this.summary.textContent = row.handoff_summary ?? "";
    const drawn = JSON.stringify([row.state, row.held_by, row.handled_by, row.hold, row.muted, row.voice, row.flagged, row.sensitive, this.listening?.kind, this.over]);
    if (drawn !== this.drawnActions) {
      this.drawnActions = drawn;
      this.#drawActions();
    }
    if (this.tab === "details") this.#drawDetails();
  }

  tick() {
    if (!this.callId) return;
    const row = this.row;
    fill(this.head,
      healthMark(row.health), stateBadge(this.over ? "ended" : row.state), h("span", { text: `for ${age(row.state_since_at)}` }),
      h("span", { class: "muted", text: `age ${age(row.started_at)}` }), row.arm ? h("span", { class: "muted", text: `arm ${arms(row)}` }) : null,
      row.last_turn_ms ? h("span", { class: "muted", text: `last answer ${span(row.last_turn_ms)}` }) : null,
      row.held_by ? badge("bad", holdOf(row), "phone") : null,
      watchersOf(row),
      row.sensitive ? badge("warn", "confidential: nobody hears the caller", "warn") : null,
      row.flagged ? badge("warn", "flagged", "flag") : null);
  }

  /** The call is over; what was said stays. */
  ended() {
    if (this.over || !this.callId) return;
    this.over = true;
    this.stop?.();
    this.listening?.close();
    this.listening = null;
    this.audio.hidden = true;
    this.#drawActions();
    if (this.composer) this.composer.hidden = true;
    this.tick();
  }

  #drawActions() {
    if (this.over) {
      this.bar.showOver(this.row, h("span", { class: "grow", text: "This call is over." }), may("history.view") ? h("a", { class: "button", href: `/history/${this.callId}`, text: "Open its history" }) : null);
      return;
    }
    this.bar.show(this.row, this.listening?.kind);
  }

  /** Do what a key or a button says. */
  async act(id) {
    const action = ACTIONS.find((each) => each.id === id);
    if (!this.callId || !action || (this.over && !action.afterwards) || !isFor(action, this.row)) return false;
    if (LISTENING[id]) { await this.#listen(id); return true; }
    if (id === "whisper") { this.text?.focus(); return true; }
    const before = this.row;
    const done = await action.run(this.callId, before);
    if (!done || this.callId !== before.call_id) return true;
    if (action.becomes) this.#expect(before, action.becomes(before, user));
    if (done.microphone) await this.talk(done.microphone);
    return true;
  }

  /** The caller is somebody else's now: nobody hears this page, and who may not listen hears nobody. */
  #givenBack() {
    if (may("monitor")) this.listening?.mute(); else this.listening?.close();
  }

  async #listen(kind) {
    if (this.listening) { this.listening.close(); this.listening = null; this.audio.hidden = true; } else {
      this.listening = new Listening(this.callId, kind, this.audio, {
        row: this.row,
        onVoice: () => { if (this.callId && !this.over) this.#show({ ...this.row, voice: this.talks }); },
        onEnd: (callOver) => {
          this.listening = null;
          this.audio.hidden = true;
          if (callOver) this.ended(); else this.#show({ ...this.row, voice: false });
        },
      });
      this.audio.hidden = false;
      await this.listening.listen();
    }
    this.#drawActions();
  }

  /** Be heard by the caller, and hear them. */
  async talk(microphone) {
    if (!this.listening) await this.#listen("listen");
    await this.listening?.talk(microphone);
  }

  #take(event) {
    if (event.kind === "measured") this.waterfall.addEvent(event);
    if (this.scroll.scrollTop < this.reached && !this.#atEnd()) this.following = false;  // its event is due yet
    if (this.transcript.add(event) && this.tab === "transcript") {
      if (this.following) this.#toEnd(); else this.pill.hidden = false;
    }
  }

  #atEnd() { return this.scroll.scrollHeight - this.scroll.scrollTop - this.scroll.clientHeight < 40; }
  #toEnd() {
    this.scroll.scrollTop = this.scroll.scrollHeight;
    this.reached = this.scroll.scrollTop;
    this.pill.hidden = true;
  }

  #tab(id) {
    this.tab = id;
    for (const tab of this.element.querySelectorAll('[role="tab"]')) {
      const chosen = tab.id === `tab-${id}`;
      tab.setAttribute("aria-selected", String(chosen));
      tab.tabIndex = chosen ? 0 : -1;
    }
    this.panel.setAttribute("aria-labelledby", `tab-${id}`);
    this.pill.hidden = true;
    if (id === "transcript") { fill(this.scroll, this.transcript.element); this.#toEnd(); }
    if (id === "latency") fill(this.scroll, this.waterfall.turns.length ? this.waterfall.element : h("p", { class: "muted", text: "No answer was measured yet." }));
    if (id === "sip") this.#drawSip();
    if (id === "details") this.#drawDetails();
  }

  /** Show the SIP messages so far; choose the tab again for later ones. */
  async #drawSip() {
    const callId = this.callId;
    fill(this.scroll);
    const found = await attempt(get(`/calls/${callId}/sip`));
    if (this.callId !== callId || this.tab !== "sip" || !found) return;
    const drawn = sipLadder(found.messages);
    fill(this.scroll, drawn ? h("div", { class: "rungs", tabindex: 0, role: "region", "aria-label": "SIP messages" }, drawn) : h("p", { class: "muted", text: found.missing ?? "No SIP messages are kept of this call." }));
  }

  #drawDetails() {
    const row = this.row;
    const facts = [
      ["Call", row.call_id], ["Node", row.node], ["Dialled", row.to], ["Route", row.dialplan], ["Arm", arms(row)], ["Dialect and model", [row.dialect, row.model].filter(Boolean).join(", ")],
      ["Began", when(row.started_at)], ["Answered", when(row.answered_at)], ["Caller ID check", row.verstat], ["Consent", row.consent],
      ["Cut by the caller", row.interruptions_caller ?? 0], ["Cut in by the agent", row.interruptions_agent ?? 0], ["Tool failures", row.tool_failures ?? 0],
      ["Transfer", row.handoff_target && `${row.handoff_target}: ${row.handoff_result}`], ["Summary for the person", row.handoff_summary],
    ];
    fill(this.scroll, h("dl", { class: "facts" }, facts.filter(([, value]) => value !== undefined && value !== "" && value !== null).map(([name, value]) => [h("dt", { text: name }), h("dd", { text: String(value) })])),
      may("unmask") ? h("p", {}, h("button", { type: "button", text: "Show whole numbers", onclick: () => unmask(this.callId) })) : null);
  }
}

