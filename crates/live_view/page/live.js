// Keeps the page up to date: it builds from each event what the server has written into the page, and says how old things are.

const { units, form, end, endLabel } = document.body.dataset;
const language = document.documentElement.lang;
const status = document.getElementById('live');
const svg = 'http://www.w3.org/2000/svg';

/** How far the service's clock is ahead of ours, in seconds. */
let ahead = 0;

/** What each part shows, as it came. */
const shown = new Map();

function make(name, attributes = {}, ...children) {
  const element = name === 'svg' || name === 'rect' ? document.createElementNS(svg, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** How long ago a moment was, in the largest unit. */
function age(since) {
  const seconds = Math.max(0, Math.floor(Date.now() / 1000 + ahead - since));
  const names = units.split('|');
  if (seconds < 60) return seconds + names[0];
  if (seconds < 3600) return Math.floor(seconds / 60) + names[1];
  if (seconds < 172800) return Math.floor(seconds / 3600) + names[2];
  return Math.floor(seconds / 86400) + names[3];
}

function tick() {
  for (const time of document.querySelectorAll('time')) {
    const text = age(Number(time.dataset.since));
    if (time.textContent !== text) time.textContent = text;
  }
}

const hidden = (name, value) => make('input', { type: 'hidden', name, value });

function say(cell) {
  if (cell.since !== undefined) return make('time', { 'data-since': cell.since }, age(cell.since));
  if (cell.end !== undefined) {
    const label = `${endLabel} ${cell.end.slice(0, 8)}`;
    return make('form', { method: 'post', action: 'end' },
      hidden('form', form), hidden('lang', language), hidden('login', cell.end),
      make('button', { class: 'plain', 'aria-label': label }, end));
  }
  return cell.text ?? '';
}

const facts = ({ facts: all }) => make('dl', {}, ...all.map(([name, cell]) =>
  make('div', {}, make('dt', {}, name), make('dd', { 'data-tone': cell.tone ?? '' }, say(cell)))));

function rates({ series }) {
  const most = Math.max(1, ...series.flatMap(({ minutes }) => minutes));
  return make('ul', { class: 'rates' }, ...series.map(({ name, tone, minutes }) => {
    const bars = minutes.map((count, at) => {
      const height = Math.ceil(count * 24 / most);
      return make('rect', { x: at * 8, y: 24 - height, width: 6, height });
    });
    const picture = make('svg', {
      viewBox: '0 0 78 24', preserveAspectRatio: 'none', role: 'img', 'aria-label': `${name}: ${minutes.join(', ')}`,
    }, ...bars);
    const total = minutes.reduce((sum, count) => sum + count, 0);
    return make('li', { 'data-tone': tone }, make('span', {}, name), ' ', picture, ' ', make('b', {}, String(total)));
  }));
}

const row = ({ cells }, columns) => make('tr', {}, ...cells.map((cell, at) =>
  make('td', { 'data-label': columns[at] ?? '', 'data-tone': cell.tone ?? '' }, say(cell))));

/** A table keeps the rows that have not changed, so that nobody loses the button that they are about to press. */
function table({ columns, rows, empty }, body, title) {
  if (!rows.length) return make('p', { class: 'empty' }, empty);
  let it = body.querySelector('table');
  const heads = columns.map((name) => (name ? make('th', { scope: 'col' }, name) : make('td')));
  if (!it || it.tHead.rows[0].cells.length !== heads.length) {
    it = make('table', { 'aria-labelledby': title }, make('thead', {}, make('tr', {}, ...heads)), make('tbody'));
  }
  const [list] = it.tBodies;
  const known = new Map([...list.rows].filter((old) => old.json).map((old) => [old.json, old]));
  let at = list.firstChild;
  for (const one of rows) {
    const json = JSON.stringify(one);
    const old = known.get(json);
    known.delete(json);
    const next = old ?? Object.assign(row(one, columns), { json });
    if (next === at) at = at.nextSibling;
    else list.insertBefore(next, at);
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
  return it;
}

function show({ now, state }) {
  ahead = now - Date.now() / 1000;
  const main = document.querySelector('main');
  const ids = state.sections.map(({ id }) => id);
  for (const old of main.querySelectorAll(':scope > section')) if (!ids.includes(old.id)) old.remove();
  let before = main.querySelector(':scope > .said');
  for (const { id, title, note, wide, body: content } of state.sections) {
    let section = document.getElementById(id);
    if (!section) {
      section = make('section', { id, 'aria-labelledby': `${id}-title` },
        make('h2', { id: `${id}-title` }), make('p', { class: 'note' }), make('div', { class: 'body' }));
      if (wide) section.className = 'wide';
      if (before) before.after(section);
      else main.prepend(section);
    }
    before = section;
    const json = JSON.stringify([title, note, content]);
    if (shown.get(id) === json) continue;
    shown.set(id, json);
    section.querySelector('h2').textContent = title;
    section.querySelector('.note').textContent = note;
    const body = section.querySelector('.body');
    const built = { facts, rates, table }[content.kind](content, body, `${id}-title`);
    if (built.parentNode !== body || body.children.length > 1) body.replaceChildren(built);
  }
  tick();
}

function tell(is) {
  if (status.dataset.is === is) return;
  status.dataset.is = is;
  status.textContent = status.dataset[is];
}

function connect() {
  const events = new EventSource(`events?lang=${encodeURIComponent(language)}`);
  events.onmessage = ({ data }) => {
    tell('on');
    show(JSON.parse(data));
  };
  events.onerror = () => {
    tell('off');
    // A refusal ends it: too many look, or the session is over. The page itself says which.
    if (events.readyState === EventSource.CLOSED) setTimeout(connect, 10_000);
  };
}

connect();
setInterval(tick, 1000);
