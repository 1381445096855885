// WeChat's browser on the phone. The simulator fetches each page as WeChat does, with its User-Agent and the person's
// cookies; here it is shown, and what is pressed goes back to the simulator. No script of a page runs.

import { ask } from "./simulator.js";
import { $, say } from "./words.js";

/** Opens an address for a person; or sends a form that the page at `from` has. */
export async function browse(openid, url, form) {
  const page = await ask("POST", "open", { openid, url, ...form });
  const parsed = new DOMParser().parseFromString(page.body, "text/html");
  const links = [...parsed.querySelectorAll("link[rel=stylesheet]")].map((link) => new URL(link.getAttribute("href"), page.url));
  // Before the page is shown, so that nobody sees it without them.
  const styles = await Promise.all(links.map((link) => ask("POST", "open", { openid, url: link.href })));
  for (const it of parsed.querySelectorAll("script, link, base, meta[http-equiv]")) it.remove();
  const frame = $("webview-page");
  const loaded = new Promise((done) => frame.addEventListener("load", done, { once: true }));
  frame.srcdoc = `<!doctype html>${parsed.documentElement.outerHTML}`;
  $("webview").hidden = false;
  $("webview-title").textContent = parsed.title;
  $("webview-url").textContent = new URL(page.url).host;
  await loaded;
  const { contentDocument, contentWindow } = frame;
  contentDocument.adoptedStyleSheets = styles.map(({ body }) => {
    const sheet = new contentWindow.CSSStyleSheet();
    sheet.replaceSync(body);
    return sheet;
  });
  const go = (event, address, more) => {
    event.preventDefault();
    return browse(openid, new URL(address, page.url).href, more).catch((error) => {
      $("told").textContent = say("failed_page", { why: error.message });
    });
  };
  contentDocument.addEventListener("click", (event) => {
    const link = event.target.closest("a[href]");
    if (link) go(event, link.getAttribute("href"));
  });
  contentDocument.addEventListener("submit", (event) => {
    const form = event.target;
    const fields = `${new URLSearchParams(new FormData(form, event.submitter))}`;
    const action = new URL(form.getAttribute("action") ?? "", page.url);
    if (form.method === "post") return go(event, action, { from: page.url, form: fields });
    action.search = fields;
    return go(event, action);
  });
}

/** Puts the phone's browser away. */
export function putAway() {
  $("webview").hidden = true;
  $("webview-page").srcdoc = "";
}
