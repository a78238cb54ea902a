// Marks that several pages share.

import { badge } from "./dom.js";
import { words } from "./format.js";

const OUTCOMES = { completed: "good", transferred: "info", cancelled: "", max_duration: "warn" };

export const outcomeBadge = (outcome) => badge(OUTCOMES[outcome] ?? "bad", words(outcome));
