// A phone in a tab. One person holds it; another tab can be another person's. The page asks the simulator once a
// second for people, codes and what is new in the conversation. It knows of a login what a phone knows: the code that
// it scans and what the account writes. The digits that a web page shows are for the person to read and to type.

import { isScanned, offerPictures, showCodes } from "./camera.js";
import { clearChat, showChat } from "./chat.js";
import { ask } from "./simulator.js";
import { browse, putAway } from "./webview.js";
import { $, chooseLanguage, otherLanguage, say, speak, wechats } from "./words.js";

const POLL_MS = 1000;
const opened = location.pathname.startsWith("/q/") ? location.origin + location.pathname : null;

let person = null;
let pushing = 0;
let toldOffline = false;

function tell(text, bad = false) {
  $("told").textContent = text;
  $("told").classList.toggle("bad", bad);
}

/** Does an action that becomes a push, and shows how the push went; then `more`, if there is something to say. */
async function push(path, body, more = "") {
  tell(say("sending"));
  pushing += 1;
  showName();
  try {
    const { attempts } = await ask("POST", path, body);
    const last = attempts.at(-1);
    if (last.error) tell(say("failed", { why: last.error }), true);
    else if (more) tell(more);
    else if (attempts.length > 1) tell(say("done_after", { tries: attempts.length }));
    else tell(say("done", { n: last.took_ms }));
  } catch (error) {
    tell(say(error.code) ?? error.message, true);
  }
  pushing -= 1;
  showName();
  await refresh();
}

/** Opens an address in the person's WeChat. */
async function open(address) {
  if (!person) return;
  $("phone").scrollIntoView({ block: "nearest" });
  tell("");
  try {
    await browse(person.openid, address);
  } catch (error) {
    tell(say("failed_page", { why: error.message }), true);
  }
}

async function scan(text) {
  if (!person) return;
  // A code that leads to a page, and not into the chat, is opened.
  if (/^https?:/.test(text) && !text.startsWith(`${location.origin}/`)) return open(text);
  // A scan opens the conversation, which a narrow window shows further down.
  $("phone").scrollIntoView({ block: "nearest" });
  await push("scan", { openid: person.openid, text });
}

async function write(text, more) {
  if (person?.follower) await push("say", { openid: person.openid, text }, more);
}

// --- the person ---

/** The tab's own person, so that two tabs can be two people; or the browser's last one. */
function remembered() {
  return sessionStorage.getItem("openid") ?? localStorage.getItem("openid");
}

function showName() {
  $("name").textContent = pushing > 0 ? `${say("account")} ${say("typing")}` : say("account");
}

function become(next) {
  if (person?.openid !== next.openid) {
    clearChat();
    putAway();
    sessionStorage.setItem("openid", next.openid);
    localStorage.setItem("openid", next.openid);
  }
  person = next;
  document.title = say("title_of", { name: person.nickname });
  showName();
  $("follows").textContent = say(person.follower ? "follower" : "not_follower");
  $("follow").textContent = say(person.follower ? "unfollow" : "follow");
  $("speaks").value = person.language;
  $("words").disabled = !person.follower;
  $("words").placeholder = say(person.follower ? "write" : "write_not");
  for (const chip of document.querySelectorAll("#quick button")) chip.disabled = !person.follower;
  showPreselected();
}

function showPreselected() {
  if (!opened || !person) return;
  const used = isScanned(opened);
  $("preselected-scan").disabled = used;
  $("preselected-scan").textContent = used ? say("this_code_used") : say("scan_as", { name: person.nickname });
}

function invent(more = {}) {
  return ask("POST", "people", { language: wechats(), ...more });
}

/** The person whom the list may be too short for. */
async function find(openid) {
  try {
    return (await ask("GET", `chat?openid=${openid}&after=${Number.MAX_SAFE_INTEGER}`)).person;
  } catch {
    return null;
  }
}

async function showPeople() {
  const wantsNew = new URLSearchParams(location.search).has("new");
  if (wantsNew) {
    history.replaceState(null, "", location.pathname);
    become(await invent());
  }
  const people = await ask("GET", "people");
  const wanted = person?.openid ?? remembered();
  const known = people.find(({ openid }) => openid === wanted) ?? (wanted && await find(wanted));
  // Each browser begins with a new person, because each phone has its own.
  const current = known || await invent();
  if (!people.some(({ openid }) => openid === current.openid)) people.unshift(current);
  const options = people.map(({ openid, nickname, follower }) =>
    ({ value: openid, text: `${nickname}${follower ? " ✓" : ""} · ${openid.slice(0, 6)}…` }));
  const select = $("people");
  const same = select.options.length === options.length
    && options.every(({ value, text }, n) => select.options[n].value === value && select.options[n].text === text);
  // An open list must not be rebuilt while somebody chooses from it.
  if (!same) select.replaceChildren(...options.map(({ value, text }) => new Option(text, value)));
  select.value = current.openid;
  if (person?.openid !== current.openid) become(current);
}

// --- what is new ---

let refreshing = null;

/** Shows what is new; calls that overlap share one round. */
function refresh() {
  refreshing ??= (async () => {
    try {
      await showPeople();
      const { openid } = person;
      const [, now] = await Promise.all([showCodes(scan), showChat(openid, () => person?.openid === openid)]);
      if (now) become(now);
      if (toldOffline) tell("");
      toldOffline = false;
    } catch (error) {
      if (error.code === "nobody") {
        // The simulator was restarted, so the person is gone.
        person = null;
        clearChat();
      } else {
        toldOffline = true;
        tell(say("offline"), true);
      }
    } finally {
      refreshing = null;
    }
  })();
  return refreshing;
}

// --- what a person can do ---

function form(id, submitted) {
  $(id).addEventListener("submit", (event) => {
    event.preventDefault();
    submitted();
  });
}

form("typed", async () => {
  const text = $("text").value.trim();
  if (!text) return;
  $("text").value = "";
  await scan(text);
});

form("browse", async () => {
  const address = $("link").value.trim();
  if (address) await open(/^https?:/.test(address) ? address : `http://${address}`);
});
$("webview-close").addEventListener("click", putAway);

form("say", async () => {
  const text = $("words").value;
  if (!text.trim() || !person?.follower) return;
  $("words").value = "";
  await write(text);
});

const quick = {
  deny: () => write("0"),
  mistype: () => {
    const n = 10 + Math.floor(Math.random() * 90);
    return write(String(n), say("did_mistype", { n }));
  },
  nothing: () => tell(say("did_nothing")),
};
for (const chip of document.querySelectorAll("#quick button")) {
  chip.addEventListener("click", () => quick[chip.dataset.quick]());
}

form("new-person", async () => {
  try {
    become(await invent({ nickname: $("nickname").value.trim(), follower: $("follower").checked }));
    $("nickname").value = "";
    $("invent").open = false;
    tell("");
  } catch (error) {
    tell(error.message, true);
  }
  await refresh();
});

$("people").addEventListener("change", async ({ target }) => {
  const chosen = await find(target.value);
  if (chosen) become(chosen);
  await refresh();
});
$("speaks").addEventListener("change", async ({ target }) => {
  if (person) become(await ask("POST", "people", { ...person, language: target.value }));
});
$("follow").addEventListener("click", () =>
  person && push(person.follower ? "unfollow" : "follow", { openid: person.openid }));
$("language").addEventListener("click", () => {
  speak(otherLanguage());
  tell("");
  clearChat();
  if (person) become(person);
  refresh();
});

if (opened) {
  $("preselected").hidden = false;
  $("preselected-text").textContent = opened;
  $("preselected-scan").addEventListener("click", async ({ target }) => {
    target.disabled = true;
    await scan(opened);
    showPreselected();
  });
}

speak(chooseLanguage());
document.title = say("title");
showName();
offerPictures(scan, (why) => tell(why, true));
refresh();
setInterval(() => document.hidden || refresh(), POLL_MS);
