"use strict";
// One audio element plays at a time. It is made when a call is first played: a page holds many.
const calls = new Map();
let current = null;
let context = null;

const find = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];

function call(key) {
  if (!calls.has(key)) {
    const data = find(`#sound-${key}`);
    if (!data) return null;
    calls.set(key, makeCall(key, asWav(JSON.parse(data.textContent))));
  }
  return calls.get(key);
}

const bytesOf = (base64) => Uint8Array.from(atob(base64.trim()), (c) => c.charCodeAt(0));

// Each lane's pieces of sound are put where they were; between them all is silent.
function asWav({ hz, samples, lanes }) {
  const wav = new DataView(new ArrayBuffer(44 + 2 * lanes.length * samples));
  const bytes = 2 * lanes.length;
  const text = (at, letters) => [...letters].forEach((each, n) => wav.setUint8(at + n, each.charCodeAt(0)));
  text(0, "RIFF"); text(8, "WAVEfmt "); text(36, "data");
  [[4, wav.byteLength - 8], [16, 16], [24, hz], [28, hz * bytes], [40, samples * bytes]].forEach(([at, n]) => wav.setUint32(at, n, true));
  [[20, 1], [22, lanes.length], [32, bytes], [34, 16]].forEach(([at, n]) => wav.setUint16(at, n, true));
  lanes.forEach((pieces, lane) => {
    for (const [start, data] of pieces) {
      decodeAdpcm(bytesOf(data), (sample, n) => {
        if (start + n < samples) wav.setInt16(44 + bytes * (start + n) + 2 * lane, sample, true);
      });
    }
  });
  return wav;
}

// IMA ADPCM: 4 bits a sample, the first of two in the high half of a byte.
const STEPS = [
  7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 19, 21, 23, 25, 28, 31, 34, 37, 41, 45, 50, 55, 60, 66, 73, 80, 88, 97, 107, 118,
  130, 143, 157, 173, 190, 209, 230, 253, 279, 307, 337, 371, 408, 449, 494, 544, 598, 658, 724, 796, 876, 963, 1060,
  1166, 1282, 1411, 1552, 1707, 1878, 2066, 2272, 2499, 2749, 3024, 3327, 3660, 4026, 4428, 4871, 5358, 5894, 6484, 7132,
  7845, 8630, 9493, 10442, 11487, 12635, 13899, 15289, 16818, 18500, 20350, 22385, 24623, 27086, 29794, 32767,
];
const MOVES = [-1, -1, -1, -1, 2, 4, 6, 8];

function decodeAdpcm(bytes, take) {
  let sample = 0;
  let at = 0;
  for (let n = 0; n < 2 * bytes.length; n++) {
    const code = n % 2 ? bytes[n >> 1] & 15 : bytes[n >> 1] >> 4;
    const step = STEPS[at];
    let change = step >> 3;
    if (code & 4) change += step;
    if (code & 2) change += step >> 1;
    if (code & 1) change += step >> 2;
    sample = Math.max(-32768, Math.min(32767, sample + (code & 8 ? -change : change)));
    at = Math.max(0, Math.min(88, at + MOVES[code & 7]));
    take(sample, n);
  }
}

function makeCall(key, wav) {
  const audio = new Audio(URL.createObjectURL(new Blob([wav], { type: "audio/wav" })));
  const made = { key, audio, lanes: find(`[data-lanes="${key}"]`), pans: [], gains: [] };
  audio.addEventListener("play", () => show(made));
  audio.addEventListener("pause", () => show(made));
  audio.addEventListener("timeupdate", () => show(made));
  return made;
}

// The caller is left and the agent right; one alone is heard on both sides.
function hear(made) {
  context ??= new AudioContext();
  context.resume();
  if (!made.gains.length) {
    const split = context.createChannelSplitter(2);
    context.createMediaElementSource(made.audio).connect(split);
    for (const channel of [0, 1]) {
      const gain = context.createGain();
      const pan = context.createStereoPanner();
      split.connect(gain, channel).connect(pan).connect(context.destination);
      made.gains.push(gain);
      made.pans.push(pan);
    }
  }
  const chosen = find('.hear input:checked', made.lanes.closest("[data-calls]")).value;
  ["caller", "agent"].forEach((lane, channel) => {
    made.gains[channel].gain.value = chosen === "both" || chosen === lane ? 1 : 0;
    made.pans[channel].pan.value = chosen === "both" ? channel * 1.2 - 0.6 : 0;
  });
}

// Runs beside the first are packed until they are chosen; those that were shown are kept.
const takes = new Map();

async function chooseTake(select) {
  const card = select.closest(".card");
  const number = select.value;
  const packed = find(`template[data-take="${number}"]`, card);
  const next = takes.get(`${card.id} ${number}`) ?? (packed && (await unpack(packed)));
  if (next && select.value === number) showTake(card, next);
}

async function unpack(packed) {
  const take = document.createElement("div");
  take.className = "take";
  take.dataset.take = packed.dataset.take;
  take.dataset.calls = "";
  take.innerHTML = await unpacked(packed);
  return take;
}

function unpacked(template) {
  const bytes = bytesOf(template.content.textContent);
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
}

// What is only seen when it is opened.
document.addEventListener("toggle", async ({ target }) => {
  const packed = target.open && find(":scope > template[data-packed]", target);
  if (!packed || packed.dataset.packed) return;
  packed.dataset.packed = "being unpacked";
  const made = document.createElement("template");
  made.innerHTML = await unpacked(packed);
  packed.replaceWith(made.content);
}, true);

function showTake(card, next) {
  const shown = find("div[data-take]", card);
  if (shown === next) return;
  if (current && shown.contains(current.lanes)) current.audio.pause();
  takes.set(`${card.id} ${shown.dataset.take}`, shown);
  shown.replaceWith(next);
  find("[data-takes]", card).value = next.dataset.take;
}

// What is to be played may be of a run that is not shown any more.
function bring(key) {
  const lanes = `[data-lanes="${key}"]`;
  if (find(lanes)) return;
  for (const [name, take] of takes) {
    if (find(lanes, take)) showTake(document.getElementById(name.split(" ")[0]), take);
  }
}

function play(key, atMs = null) {
  bring(key);
  const made = call(key);
  if (!made) return;
  if (current && current !== made) current.audio.pause();
  current = made;
  made.lanes.closest("details").open = true;
  hear(made);
  if (atMs !== null) made.audio.currentTime = atMs / 1000;
  made.audio.play().then(follow).catch((error) => {
    // Paused again, or another call was chosen, before the first sound.
    if (error.name !== "AbortError") throw error;
  });
}

function toggle(key) {
  const made = call(key);
  if (made && !made.audio.paused) made.audio.pause();
  else play(key);
}

function show(made) {
  const { key, audio, lanes } = made;
  const playing = !audio.paused && !audio.ended;
  const seconds = audio.currentTime;
  const take = lanes.closest("[data-calls]"); // perhaps not shown any more
  const button = find(`[data-toggle="${key}"]`, take);
  const slider = find(`[data-seek="${key}"]`, take);
  button.classList.toggle("on", playing);
  button.firstElementChild.textContent = playing ? "❚❚" : "▶";
  button.setAttribute("aria-label", `${playing ? "Pause" : "Play"} ${lanes.getAttribute("aria-label")}`);
  slider.value = seconds * 1000;
  slider.setAttribute("aria-valuetext", `${seconds.toFixed(1)} s`);
  find(`[data-clock="${key}"]`, take).textContent = `${seconds.toFixed(1)} / ${(slider.max / 1000).toFixed(1)} s`;
  const head = find(`[data-head="${key}"]`, take);
  head.classList.add("on");
  head.style.transform = `translateX(${seconds * lanes.dataset.px}px)`;
}

function follow() {
  if (!current || current.audio.paused) return;
  show(current);
  const box = current.lanes.closest(".timeline");
  const left = current.audio.currentTime * current.lanes.dataset.px;
  if (left < box.scrollLeft || left > box.scrollLeft + box.clientWidth - 120) box.scrollLeft = left - 60;
  requestAnimationFrame(follow);
}

// The other arm at the same moment of the call.
function other() {
  if (!current) return;
  const keys = all("[data-toggle]", current.lanes.closest("[data-calls]")).map((each) => each.dataset.toggle);
  const next = keys[(keys.indexOf(current.key) + 1) % keys.length];
  if (next !== current.key) play(next, current.audio.currentTime * 1000);
}

function toggleNear() {
  const card = document.activeElement?.closest(".card");
  if (current && (!card || card.contains(current.lanes))) return toggle(current.key);
  const button = find("[data-toggle]", card ?? document);
  if (button) toggle(button.dataset.toggle);
}

document.addEventListener("click", (event) => {
  const target = event.target.closest("[data-at], [data-toggle], [data-show], [data-help], .lane");
  if (!target) return;
  if (target.dataset.toggle) toggle(target.dataset.toggle);
  else if (target.dataset.at) play(target.dataset.call, Math.max(0, Number(target.dataset.at)));
  else if (target.dataset.show) choose(target);
  else if (target.matches("[data-help]")) find("#help").showModal();
  else {
    const lanes = target.closest("[data-lanes]");
    const left = event.clientX - lanes.getBoundingClientRect().left;
    if (left >= 0) play(lanes.dataset.lanes, (left / lanes.dataset.px) * 1000);
  }
});

document.addEventListener("input", (event) => {
  const key = event.target.dataset?.seek;
  if (key) {
    const made = call(key);
    made.audio.currentTime = event.target.value / 1000;
    show(made);
  } else if (event.target.matches("[data-takes]")) {
    chooseTake(event.target);
  } else if (event.target.matches(".hear input")) {
    if (current) hear(current);
  } else if (event.target.id === "find") filter();
});

// Which scripts are shown.
function choose(button) {
  all("[data-show]").forEach((each) => each.setAttribute("aria-pressed", String(each === button)));
  filter();
}

function filter() {
  const words = find("#find").value.trim().toLowerCase().split(/\s+/);
  const show = find('[data-show][aria-pressed="true"]').dataset.show;
  let found = 0;
  for (const each of all("[data-words]")) {
    const fits = words.every((word) => each.dataset.words.includes(word)) && (show === "all" || show in each.dataset);
    each.hidden = !fits;
    found += fits && each.matches(".card");
  }
  find("#found").textContent = `${found} ${found === 1 ? "script" : "scripts"} shown`;
}
find(".filter").addEventListener("submit", (event) => event.preventDefault());

// Scripts by keyboard.
function move(step, selector = ".card:not([hidden])") {
  const cards = all(selector);
  if (!cards.length) return;
  const here = document.activeElement?.closest(".card");
  const at = here ? all(".card").indexOf(here) : -1;
  const order = all(".card");
  const next = step > 0 ? cards.find((each) => order.indexOf(each) > at) : cards.findLast((each) => order.indexOf(each) < at);
  const summary = find("summary", next ?? (step > 0 ? cards[0] : cards.at(-1)));
  summary.focus({ preventScroll: true });
  summary.scrollIntoView({ block: "start" });
}

const keys = {
  j: () => move(1),
  k: () => move(-1),
  n: () => move(1, ".card[data-broken]:not([hidden])"),
  p: toggleNear,
  " ": toggleNear,
  a: other,
  ",": () => current && skip(-1),
  ".": () => current && skip(1),
  "/": () => find("#find").focus(),
  "?": () => find("#help").showModal(),
};

function skip(seconds) {
  current.audio.currentTime = Math.max(0, current.audio.currentTime + seconds);
  show(current);
}

document.addEventListener("keydown", (event) => {
  const on = event.target;
  if (event.ctrlKey || event.metaKey || event.altKey || find("#help").open) return;
  if (on.matches("input[type=search]")) {
    if (event.key === "Escape") on.blur();
    return;
  }
  if (on.matches(".card > summary") && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
    move(event.key === "ArrowDown" ? 1 : -1);
    event.preventDefault();
    return;
  }
  if (!find("#shortcuts").checked || !(event.key in keys)) return;
  if (event.key === " " && on.matches("button, summary, a, input")) return;
  keys[event.key]();
  event.preventDefault();
});

// A link to a script opens it.
function reveal() {
  const target = document.getElementById(location.hash.slice(1));
  if (!target?.matches(".card")) return;
  target.open = true;
  const summary = find("summary", target);
  summary.focus({ preventScroll: true });
  summary.scrollIntoView({ block: "start" });
}
addEventListener("hashchange", reveal);
document.addEventListener("click", (event) => {
  if (event.target.closest('a[href^="#script-"]')?.hash === location.hash) reveal();
});
reveal();

// Shortcuts of one key can be turned off (WCAG 2.1.4), and stay off.
const shortcuts = find("#shortcuts");
try {
  shortcuts.checked = localStorage.getItem("replay-report-shortcuts") !== "off";
  shortcuts.addEventListener("change", () =>
    localStorage.setItem("replay-report-shortcuts", shortcuts.checked ? "on" : "off"));
} catch {
  // A browser that keeps nothing for files: they are on each time.
}
