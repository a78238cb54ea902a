// Calls that are over: filters, search in what was said, pages.

import { attempt, get } from "./api.js";
import { outcomeBadge } from "./badges.js";
import { $, clip, empty, fill, h } from "./dom.js";
import { filled, folding } from "./fold.js";
import { arms, clock, moment, percent, span, words, zone } from "./format.js";
import { key } from "./keys.js";
import { Table } from "./table.js";
import { useKeys } from "./table_keys.js";
import { marked, thresholdsButton } from "./thresholds.js";
import { views } from "./views.js";

const columns = [
  { id: "start", label: `Began, ${zone()}`, value: (r) => r.started_at, cell: (r) => h("a", { href: `/history/${r.call_id}`, tabindex: -1, class: "nowrap", text: moment(r.started_at) }) },
  { id: "from", label: "From", value: (r) => r.from, cell: (r) => clip(r.from ?? "") },
  { id: "to", label: "Dialled", value: (r) => r.to, cell: (r) => clip(r.to ?? "") },
  { id: "route", label: "Route", value: (r) => r.dialplan, cell: (r) => clip(r.dialplan ?? "") },
  { id: "arm", label: "Arm", value: (r) => r.arm, cell: (r) => clip(arms(r)) },
  { id: "length", label: "Length", number: true, value: (r) => r.duration_ms, cell: (r) => clock(r.duration_ms) },
  { id: "outcome", label: "End", value: (r) => r.outcome, wide: true, cell: (r) => h("span", { class: "one-line" }, outcomeBadge(r.outcome ?? "unknown"), clip([words(r.reason), r.fault && r.fault !== "none" && `fault: ${r.fault}`].filter(Boolean).join(", "), "why")) },
  { id: "fault", label: "Fault owner", value: (r) => r.fault, cell: (r) => (r.fault && r.fault !== "none" ? r.fault : ""), off: true },
  { id: "turns", label: "Turns", number: true, value: (r) => r.turns, cell: (r) => String(r.turns ?? "") },
  { id: "average", label: "Answers: mean", number: true, value: (r) => r.average_response_ms, cell: (r) => span(r.average_response_ms) },
  { id: "p95", label: "p95", number: true, value: (r) => r.response_p95_ms, cell: (r) => marked("answer_ms", r.response_p95_ms, span(r.response_p95_ms)) },
  { id: "silence", label: "Longest silence", number: true, value: (r) => r.longest_silence_ms, cell: (r) => span(r.longest_silence_ms), off: true },
  { id: "cuts", label: "Barge-ins", number: true, value: (r) => r.interruptions, cell: (r) => String(r.interruptions ?? "") },
  { id: "transfer", label: "Transferred to", value: (r) => r.handoff_target, cell: (r) => (r.handoff_target ? clip(`${r.handoff_target} (${words(r.handoff_result)})`) : "") },
  { id: "recording", label: "Kept", value: (r) => (r.recording ? "recording" : ""), cell: (r) => (r.recording ? "recording" : "") },
  { id: "consent", label: "Consent", value: (r) => r.consent, cell: (r) => r.consent ?? "" },
  { id: "node", label: "Node", value: (r) => r.node, cell: (r) => r.node ?? "", off: true },
  { id: "id", label: "Call id", value: (r) => r.call_id, cell: (r) => r.call_id, off: true },
];

const form = $("#filters");
if (form) {
  let rows = [];
  let more = null;
  const table = new Table({ name: "history", columns, key: (r) => r.call_id, caption: "Calls that are over", onOpen: (r) => location.assign(`/history/${r.call_id}`) });
  table.onSort = () => draw();
  $("#list").append(table.element);
  const read = () => ({ filters: Object.fromEntries(new FormData(form)), sort: table.sort });
  const apply = ({ filters, sort }) => {
    for (const [name, value] of Object.entries(filters)) if (form.elements[name]) form.elements[name].value = value;
    table.sortBy(sort);
    load();
  };
  $("#tools").append(views("history", read, apply), table.chooser(), thresholdsButton(["answer_ms"], () => table.refresh(["p95"])), h("button", { type: "button", text: "CSV", onclick: () => table.save() }));
  const chosen = new URLSearchParams(location.search);
  for (const [name, value] of chosen) if (form.elements[name]) form.elements[name].value = value;

  const tellFilters = folding(() => filled(form, "text"));
  const draw = () => {
    tellFilters();
    table.show(table.sorted(rows, (a, b) => b.started_at - a.started_at));
    $("#list").hidden = !rows.length;
    fill($("#none"), rows.length ? null : empty("No such call", "Calls of all nodes are here for a day, those of this node as long as they are kept."));
    $("#more").hidden = more === null;
    const good = rows.filter((r) => r.outcome === "completed" || r.outcome === "transferred").length;
    $("#count").textContent = rows.length ? `${rows.length}${more ? "+" : ""} calls, ${percent(good / rows.length)} ended well` : "";
  };
  const load = async (before) => {
    const asked = new URLSearchParams();
    for (const [name, value] of new FormData(form)) {
      if (value && name === "since") asked.set("since_ms", String(new Date(`${value}T00:00`).getTime()));
      else if (value) asked.set(name, value);
    }
    const shown = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
    history.replaceState(null, "", shown.size ? `?${shown}` : location.pathname);
    if (before) asked.set("before_ms", String(before));
    const found = await attempt(get(`/history?${asked}`));
    if (!found) return;
    rows = before ? [...rows, ...found.calls] : found.calls;
    more = found.more_before_ms;
    draw();
  };
  form.addEventListener("submit", (event) => { event.preventDefault(); load(); });
  for (const each of form.querySelectorAll("select, input[type=date]")) each.addEventListener("change", () => load());
  $("#more").addEventListener("click", () => load(more));
  useKeys(table, form.elements.text);
  key("close", () => document.activeElement.blur());
  load();
}
