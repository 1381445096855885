// The camera's view: the codes that there are, as pictures with their age. The newest is large, as the one before the
// lens would be. A code that somebody has scanned cannot be pressed again; only one that is for ever can.

import { ask } from "./simulator.js";
import { $, say } from "./words.js";

const SIDE = 430; // Of the picture, in pixels.

/** How long ago, or how long yet, in the words of the page. */
function time(seconds, key) {
  if (key === "ago" && seconds < 5) return say("ago_now");
  return seconds < 120 ? say(`${key}_s`, { n: seconds }) : say(`${key}_min`, { n: Math.floor(seconds / 60) });
}

function isUsed(code) {
  return code.scanned_by !== null && code.expires_in !== null;
}

function element(tag, name, text = "") {
  const made = document.createElement(tag);
  made.className = name;
  made.textContent = text;
  return made;
}

function codeRow(code, scan) {
  const row = document.createElement("li");
  row.dataset.id = code.id;
  const picture = element("img", "picture");
  Object.assign(picture, { src: `/phone/picture?id=${code.id}`, width: SIDE, height: SIDE });
  const facts = element("div", "facts");
  facts.append(element("span", "age"), element("small", "left"), element("small", "scene", code.scene));
  facts.lastChild.title = code.text;
  const button = element("button", "scan");
  button.type = "button";
  button.addEventListener("click", async () => {
    button.disabled = true;
    await scan(code.text);
    button.disabled = false;
  });
  row.append(picture, facts, button);
  return row;
}

function refreshRow(row, code) {
  const [picture, facts, button] = row.children;
  const [age, left] = facts.children;
  picture.alt = say("picture_of", { scene: code.scene });
  age.textContent = time(code.age, "ago");
  left.textContent = isUsed(code) ? say("scanned_by", { name: code.scanned_by })
    : code.expires_in === null ? say("forever") : time(code.expires_in, "left");
  button.textContent = say("scan_verb");
  button.setAttribute("aria-label", say("scan_this", { age: age.textContent, scene: code.scene }));
  button.hidden = isUsed(code);
  return row;
}

/** Rows that stay keep their button, so that a click never lands on another code. */
function fill(list, codes, scan) {
  const rows = new Map([...list.children].map((row) => [row.dataset.id, row]));
  const wanted = codes.map((code) => refreshRow(rows.get(code.id) ?? codeRow(code, scan), code));
  const same = wanted.length === list.children.length && wanted.every((row, n) => row === list.children[n]);
  if (!same) list.replaceChildren(...wanted);
}

let used = new Set();

/** Whether the code of this text has been scanned, and is good for nobody else. */
export function isScanned(text) {
  return used.has(text);
}

/** Shows the codes of now. `scan` gets the text of the one that is pressed. */
export async function showCodes(scan) {
  const codes = await ask("GET", "codes");
  const fresh = codes.filter((code) => !isUsed(code));
  const old = codes.filter(isUsed);
  used = new Set(old.map(({ text }) => text));
  fill($("codes"), fresh, scan);
  fill($("used-codes"), old, scan);
  $("no-codes").hidden = fresh.length > 0;
  $("used").hidden = old.length === 0;
  $("used-title").textContent = say("used", { n: old.length });
}

/** Offers to read a picture, where the browser can. */
export async function offerPictures(scan, refuse) {
  const formats = "BarcodeDetector" in window ? await BarcodeDetector.getSupportedFormats() : [];
  if (!formats.includes("qr_code")) return;
  const read = async (picture) => {
    const found = await new BarcodeDetector({ formats: ["qr_code"] }).detect(await createImageBitmap(picture));
    if (found.length > 0) await scan(found[0].rawValue);
    else refuse(say("no_code_in_picture"));
  };
  $("picture").hidden = false;
  $("file").addEventListener("change", ({ target }) => target.files[0] && read(target.files[0]));
  document.addEventListener("paste", ({ clipboardData }) => {
    const picture = [...clipboardData.files].find(({ type }) => type.startsWith("image/"));
    if (picture) read(picture);
  });
}
