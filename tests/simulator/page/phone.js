"use strict";

// One person at a time holds the phone. The page asks the simulator once a second for people, codes
// and what is new in the chat, and writes everything it shows as text, never as markup.

const POLL_MS = 1000;
const $ = (id) => document.getElementById(id);
const opened = location.pathname.startsWith("/q/") ? location.origin + location.pathname : null;

let words = WORDS.zh;
let person = null;
let lastBubble = 0;
let toldOffline = false;

function say(key, values = {}) {
  return words[key].replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

function tell(text, bad = false) {
  $("told").textContent = text;
  $("told").classList.toggle("bad", bad);
}

async function ask(method, path, body) {
  const answer = await fetch(`/phone/${path}`, {
    method,
    body: body && JSON.stringify(body),
    signal: AbortSignal.timeout(30000),
  });
  const value = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(value.message), { code: value.error });
  return value;
}

/** Does an action that becomes a push, and shows how the push went. */
async function push(path, body) {
  tell(say("sending"));
  try {
    const { attempts } = await ask("POST", path, body);
    const last = attempts.at(-1);
    if (last.error) tell(say("failed", { why: last.error }), true);
    else if (attempts.length > 1) tell(say("done_after", { tries: attempts.length }));
    else tell(say("done", { n: last.took_ms }));
  } catch (error) {
    tell(words[error.code] ?? error.message, true);
  }
  await refresh();
}

async function scan(text) {
  if (!person) return;
  // On a phone a scan opens the chat, which a narrow window shows further down.
  $("phone").scrollIntoView({ block: "nearest" });
  await push("scan", { openid: person.openid, text });
}

// --- the person ---

function become(next) {
  if (person?.openid !== next.openid) {
    $("chat").replaceChildren();
    lastBubble = 0;
    localStorage.setItem("openid", next.openid);
  }
  person = next;
  $("follows").textContent = say(person.follower ? "follower" : "not_follower");
  $("follow").textContent = say(person.follower ? "unfollow" : "follow");
  $("words").disabled = !person.follower;
  $("words").placeholder = say(person.follower ? "write" : "write_not");
  $("name").textContent = `${say("account")} · ${person.nickname}`;
  $("preselected-scan").textContent = say("scan_as", { name: person.nickname });
}

async function showPeople() {
  const people = await ask("GET", "people");
  const wanted = person?.openid ?? localStorage.getItem("openid");
  // Each browser begins with a new person, because each phone has its own.
  const current = people.find(({ openid }) => openid === wanted) ?? person ?? await ask("POST", "people", {});
  if (!people.some(({ openid }) => openid === current.openid)) people.unshift(current);
  const options = people.map(({ openid, nickname, follower }) =>
    ({ value: openid, text: `${nickname}${follower ? " ✓" : ""} · ${openid.slice(0, 6)}…` }));
  const select = $("people");
  const same = select.options.length === options.length
    && options.every(({ value, text }, n) => select.options[n].value === value && select.options[n].text === text);
  // An open list must not be rebuilt while somebody chooses from it.
  if (!same) select.replaceChildren(...options.map(({ value, text }) => new Option(text, value)));
  select.value = current.openid;
  if (!person) become(current);
}

// --- the codes ---

function codeRow({ id, text, scene, expires_in: left }) {
  const row = document.createElement("li");
  row.dataset.id = id;
  const name = document.createElement("span");
  name.className = "scene";
  name.title = text;
  const time = document.createElement("small");
  const button = document.createElement("button");
  button.type = "button";
  button.addEventListener("click", () => scan(text));
  row.append(name, time, button);
  return refreshRow(row, scene, left);
}

function refreshRow(row, scene, left) {
  const [name, time, button] = row.children;
  name.textContent = scene;
  time.textContent = left === null ? say("forever") : say("seconds", { n: left });
  button.textContent = say("scan_verb");
  return row;
}

async function showCodes() {
  const codes = await ask("GET", "codes");
  const rows = new Map([...$("codes").children].map((row) => [row.dataset.id, row]));
  // Rows that stay keep their button, so that a click never lands on another code.
  $("codes").replaceChildren(...codes.map((code) => {
    const row = rows.get(code.id);
    return row ? refreshRow(row, code.scene, code.expires_in) : codeRow(code);
  }));
  $("no-codes").hidden = codes.length > 0;
}

// --- the chat ---

function bubble({ from_person: mine, system, text, at }) {
  const item = document.createElement("li");
  item.className = system ? "system" : mine ? "mine" : "theirs";
  item.textContent = text;
  item.title = new Date(at).toLocaleTimeString();
  return item;
}

async function showChat() {
  const { openid } = person;
  const { person: now, bubbles } = await ask("GET", `chat?openid=${openid}&after=${lastBubble}`);
  if (openid !== person.openid) return;
  become(now);
  const fresh = bubbles.filter(({ number }) => number > lastBubble);
  for (const it of fresh) $("chat").append(bubble(it));
  if (fresh.length > 0) {
    lastBubble = fresh.at(-1).number;
    $("chat").scrollTop = $("chat").scrollHeight;
  }
  $("chat").dataset.empty = say("empty");
}

let refreshing = null;

/** Shows what is new; calls that overlap share one round. */
function refresh() {
  refreshing ??= (async () => {
    try {
      await showPeople();
      await Promise.all([showCodes(), showChat()]);
      if (toldOffline) tell("");
      toldOffline = false;
    } catch (error) {
      if (error.code === "nobody") {
        // The simulator was restarted, so the person is gone.
        person = null;
        $("chat").replaceChildren();
        lastBubble = 0;
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

// --- pictures, where the browser can read them ---

async function readPicture(picture) {
  const found = await new BarcodeDetector({ formats: ["qr_code"] }).detect(await createImageBitmap(picture));
  if (found.length > 0) await scan(found[0].rawValue);
  else tell(say("no_code_in_picture"), true);
}

async function offerPictures() {
  const formats = "BarcodeDetector" in window ? await BarcodeDetector.getSupportedFormats() : [];
  if (!formats.includes("qr_code")) return;
  $("picture").hidden = false;
  $("file").addEventListener("change", ({ target }) => target.files[0] && readPicture(target.files[0]));
  document.addEventListener("paste", ({ clipboardData }) => {
    const picture = [...clipboardData.files].find(({ type }) => type.startsWith("image/"));
    if (picture) readPicture(picture);
  });
}

// --- language, and the start ---

function speak(language) {
  words = WORDS[language];
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  document.title = say("title");
  localStorage.setItem("language", language);
  for (const element of document.querySelectorAll("[data-words]")) {
    element.textContent = say(element.dataset.words);
  }
  $("language").textContent = say("other");
  $("text").placeholder = say("paste");
  $("chat").dataset.empty = say("empty");
  if (person) become(person);
}

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

form("say", async () => {
  const text = $("words").value;
  if (!text.trim() || !person?.follower) return;
  $("words").value = "";
  await push("say", { openid: person.openid, text });
});

form("new-person", async () => {
  try {
    const wanted = { nickname: $("nickname").value.trim(), follower: $("follower").checked };
    become(await ask("POST", "people", wanted));
    $("nickname").value = "";
    $("invent").open = false;
    tell("");
  } catch (error) {
    tell(error.message, true);
  }
  await refresh();
});

$("people").addEventListener("change", async ({ target }) => {
  become({ openid: target.value, nickname: "", follower: false });
  await refresh();
});
$("follow").addEventListener("click", () =>
  person && push(person.follower ? "unfollow" : "follow", { openid: person.openid }));
$("language").addEventListener("click", () => {
  speak(words === WORDS.zh ? "en" : "zh");
  refresh();
});

if (opened) {
  $("preselected").hidden = false;
  $("preselected-text").textContent = opened;
  $("preselected-scan").addEventListener("click", () => scan(opened));
}

const asked = new URLSearchParams(location.search).get("lang") ?? localStorage.getItem("language");
speak(asked in WORDS ? asked : navigator.language.startsWith("zh") ? "zh" : "en");
offerPictures();
refresh();
setInterval(() => document.hidden || refresh(), POLL_MS);
