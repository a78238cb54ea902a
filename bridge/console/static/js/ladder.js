// The SIP messages of a call: who sent what to whom, and when.

import { h } from "./dom.js";

/** Return a table of messages, or null where there are none. */
export function sipLadder(messages) {
  if (!messages.length) return null;
  const columns = ["UTC", "After", "With", "Far end", "Message", "Bridge"];
  return h("table", { class: "plain ladder" }, h("thead", {}, h("tr", {}, columns.map((text) => h("th", { scope: "col", text })))), h("tbody", {}, messages.map(row)));
}

function row(message) {
  const kind = message.repeats ? "again" : /^[456]/.test(message.what) ? "refused" : "";
  const words = [message.media, message.reason, message.repeats && "sent again", message.left_out > 0 && `${message.left_out} before it not kept`].filter(Boolean).join(", ");
  const way = message.sent ? "from the bridge to the far end" : "from the far end to the bridge";
  return h("tr", { class: kind },
    h("td", { class: "mono nowrap", text: message.at.slice(11, 23) }),
    h("td", { class: "mono nowrap", text: `${message.after_ms.toFixed(0)} ms` }),
    h("td", { text: message.party }),
    h("td", { class: "mono", text: `${message.far_end} ${message.transport}` }),
    h("td", { class: message.sent ? "rung sent" : "rung", title: way },
      h("span", { class: "what", text: message.what }), h("span", { class: "small muted", text: ` ${message.cseq} ${words}` }), h("span", { class: "visually-hidden", text: ` ${way}` })),
    h("td", { class: "mono", text: message.local }));
}
