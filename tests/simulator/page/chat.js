// The conversation of a person with the account, as WeChat shows it. What either side wrote becomes text, never markup.

import { ask } from "./simulator.js";
import { $, locale, say } from "./words.js";

const QUIET_MS = 60 * 1000; // After so long a pause the time is said again.

let shown = 0; // The last entry's number.
let shownAt = 0; // And its time.
let atEnd = true; // Whether the newest entry is in sight.

function toEnd() {
  $("chat").scrollTop = $("chat").scrollHeight;
}

$("chat").addEventListener("scroll", ({ target }) => {
  atEnd = target.scrollHeight - target.scrollTop - target.clientHeight < 40;
});
// Other words below take room; the newest entry stays in sight all the same.
new ResizeObserver(() => atEnd && toEnd()).observe($("chat"));

/** Forgets what is shown; the next look shows the conversation from its beginning. */
export function clearChat() {
  $("chat").replaceChildren();
  // The past is no news: a screen reader hears only what comes after it.
  $("chat").setAttribute("aria-live", "off");
  shown = 0;
  shownAt = 0;
}

function line(name, text) {
  const item = document.createElement("div");
  item.className = `entry ${name}`;
  item.textContent = text;
  return item;
}

function time(at) {
  const moment = new Date(at);
  const item = line("when", "");
  const told = document.createElement("time");
  told.dateTime = moment.toISOString();
  told.textContent = moment.toLocaleTimeString(locale(), { hour: "2-digit", minute: "2-digit" });
  item.append(told);
  return item;
}

function entry({ from_person: mine, system, scanned, text, at }) {
  if (scanned !== undefined) return line("scan", say("you_scanned", { scene: scanned }));
  if (system) return line("system", text);
  const item = line(mine ? "of-me" : "of-account", "");
  const speaker = document.createElement("span");
  speaker.className = "sr";
  speaker.textContent = say(mine ? "me_says" : "account_says");
  const bubble = document.createElement("p");
  bubble.className = mine ? "mine" : "theirs";
  bubble.dir = "auto";
  bubble.textContent = text;
  bubble.title = new Date(at).toLocaleTimeString(locale());
  item.append(speaker, bubble);
  return item;
}

/** Shows what is new for `openid`, and gives the person as the simulator knows them. `isStill` says whether it is for them. */
export async function showChat(openid, isStill) {
  const { person, bubbles } = await ask("GET", `chat?openid=${openid}&after=${shown}`);
  if (!isStill()) return null;
  for (const it of bubbles.filter(({ number }) => number > shown)) {
    if (it.at - shownAt >= QUIET_MS) $("chat").append(time(it.at));
    $("chat").append(entry(it));
    shown = it.number;
    shownAt = it.at;
    toEnd();
  }
  $("chat").setAttribute("aria-live", "polite");
  return person;
}
