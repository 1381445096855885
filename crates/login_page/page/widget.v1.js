// Saoma's widget: see docs/widget.md.

const MOMENT = 3e3;
const HEARTBEAT = 25e3;

// Chinese, English, button.
const WORDS = {
  connecting: ['正在准备二维码…', 'Preparing the QR code…'],
  connecting_again: ['连接已中断，正在重新连接…', 'Connection lost, reconnecting…'],
  connecting_wait: ['请稍候…', 'One moment, please…'],
  waiting: ['请用微信“扫一扫”扫码登录', 'Scan with WeChat to log in'],
  scanned: ['已扫码，请在微信里继续', 'Scanned. Please continue in WeChat'],
  scanned_number: ['请在微信对话中回复这两位数字', 'Reply with this number in the WeChat chat'],
  granted: ['登录成功', 'You are logged in'],
  denied: ['这次登录已被取消', 'This login was declined', 'renew'],
  expired: ['二维码已过期', 'The QR code has expired', 'renew'],
  busy: ['请稍候…', 'One moment, please…'],
  offline: ['暂时连不上服务器', 'The server cannot be reached', 'retry'],
  stopped_here: ['已在另一个窗口继续登录', 'This login continues in another window', 'retry'],
  stopped_refused: ['服务器拒绝了这次登录', 'The server refused this login', 'retry'],
  stopped_misfit: ['登录设置有误，请告诉网站', 'Login is set up wrong: tell the site'],
  forgets: ['浏览器不保存数据，刷新要重新扫码', 'Nothing is kept: a reload takes a new code'],
  renew: ['换一个二维码', 'New QR code'],
  retry: ['重试', 'Try again'],
  left: ['% 后过期', 'Expires in %'],
  next: ['% 后自动重试', 'Trying again in %'],
};

const RING = 'M88 136a48 48 0 1 0 96 0 48 48 0 1 0-96 0';
const MARKS = {
  connecting: 'M136 116a20 20 0 1 1-20 20',
  waiting: 'M3 22V3h19m228 0h19v19m0 228v19h-19m-228 0H3v-19',
  scanned: 'M96 72h80v128H96zm18 66 16 16 30-36',
  granted: 'M114 138l16 16 30-36' + RING,
  denied: RING + 'm31-17 34 34m0-34-34 34',
  expired: RING + 'm48-28v28l18 12',
};

const STYLE = `@layer saoma{
.saoma-box{display:grid;justify-items:center;gap:4px;padding:16px;
text-align:center;overflow-wrap:anywhere;color:var(--saoma-ink,inherit);background:var(--saoma-card,none);
border:1px solid var(--saoma-line,transparent);border-radius:var(--saoma-radius,16px);
font-family:var(--saoma-font,inherit);font-size:14px}
.saoma-box [hidden]{display:none!important}
.saoma-stage{display:grid;place-items:center;width:max(236px,var(--saoma-size,272px));aspect-ratio:1}
.saoma-stage>*{grid-area:1/1}
.saoma-code{box-sizing:border-box;width:100%;border:8px solid #fff;border-radius:10px}
.saoma-code[src^=data]{image-rendering:pixelated}
.saoma-number{font-size:112px;font-weight:600}
.saoma-button{min-height:44px;min-width:136px;transform:translateY(64px);border:0;border-radius:22px;
background:var(--saoma-button,#07803f);color:#fff;font:inherit;font-size:16px}
.saoma-mark{width:100%;pointer-events:none;fill:none;stroke:var(--saoma-accent,#07c160);stroke-width:5;
stroke-linecap:round;stroke-linejoin:round}
.saoma-button:not([hidden])~*{transform:translateY(-44px)}
.saoma-mark>[d^=M88]{stroke:var(--saoma-warn,#d9822b)}
@media(prefers-reduced-motion:no-preference){
[data-state=connecting]>*>.saoma-mark{animation:saoma-turn 1s linear infinite}}
@keyframes saoma-turn{to{transform:rotate(1turn)}}
.saoma-user{font-size:24px;font-weight:600}
.saoma-status{font-size:17px}
.saoma-countdown{min-height:1.5em}
.saoma-countdown,.saoma-detail{max-width:300px;color:var(--saoma-quiet,inherit)}
.saoma-say{position:absolute;clip-path:inset(50%)}}`;

const slots = new Set();

export const languageOf = (wishes) =>
  /^zh/i.test(wishes.find((wish) => /^(zh|en)\b/i.test(wish))) ? 'zh-CN' : 'en';

const base64url = (bytes) =>
  btoa(String.fromCharCode(...new Uint8Array(bytes))).replace(/\+/g, '-').replace(/\//g, '_').slice(0, 43);

const random = () => base64url(crypto.getRandomValues(new Uint8Array(32)));

const svg = (tag) => document.createElementNS('http://www.w3.org/2000/svg', tag);

function add(parent, name, tag = 'div') {
  const node = document.createElement(tag);
  node.className = `saoma-${name}`;
  node.dir = 'auto';
  parent.append(node);
  return node;
}

export function mount(
  element,
  { site, nonce, account, query, gateway, lang, onLogin, onState, onError = console.error },
) {
  let socket, retryAt, error, pictured, forgets, resumeKey, ways;
  let view = {};
  let language = languageOf([lang, document.documentElement.lang, ...navigator.languages]);
  let isFree = true;
  let failures = 0;
  let renewals = 0;
  let offers = true; // The subprotocol.
  let unopened = 0;

  let skew = 0;
  let readAt = 0;

  function now() {
    const read = Date.now();
    skew += Math.max(0, readAt - read);
    readAt = read;
    return read + skew;
  }

  let heardAt = now();
  let tickedAt = heardAt;

  const backOff = () => Math.random() * Math.min(MOMENT * 2 ** failures++, 10 * MOMENT);

  function tick() {
    const slept = !document.hidden && now() - tickedAt > HEARTBEAT;
    tickedAt = now();
    if (slept) return wake(HEARTBEAT + MOMENT);
    if (now() - heardAt >= 40e3) lose();
    if (retryAt && now() >= retryAt) connect();
    count();
  }

  function wake(patience) {
    failures = 0;
    if (socket?.readyState > 1 || now() - heardAt >= patience) lose();
    if (view.state === 'expired') renew(0);
    if (retryAt && isFree) retryAt = now();
    tick();
  }

  const door = new URL('ws', gateway || import.meta.url);
  const purpose = `${door.href.replace('http', 'ws')}?${query ?? new URLSearchParams({ site, nonce, ...(account && { account }) })}`;
  let slot = `saoma.${site || ''}`;
  while (slots.has(slot)) slot += '+';
  slots.add(slot);

  let verifier = '';
  let challenge = '';
  try {
    const [key, keptFor, kept] = JSON.parse(sessionStorage[slot]);
    if (keptFor === purpose) [resumeKey, verifier] = [key, kept];
  } catch {} // None.

  function keepKey(key) {
    resumeKey = key;
    try {
      if (key) sessionStorage[slot] = JSON.stringify([key, purpose, verifier]);
      else delete sessionStorage[slot];
    } catch {
      forgets ||= onError({ code: 'no_storage', message: 'sessionStorage fails' }) || true;
    }
  }

  async function start() {
    if (!element) return fail('no_element', 'No element');
    if (query === undefined) {
      if (!site || !nonce) return fail(site ? 'no_nonce' : 'no_site', 'Site and nonce are needed');
      if (!crypto.subtle) return fail('insecure_context', 'crypto.subtle needs https');
      verifier ||= random();
      const hash = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(verifier));
      challenge = `&code_challenge=${base64url(hash)}`;
    }
    if (box.parentNode) connect();
  }

  function connect() {
    disconnect();
    retryAt = 0;
    error = {};
    heardAt = now();
    const resumes = offers && resumeKey;
    const picture = resumes && resumes === pictured ? 'kept' : '';
    const about = `${challenge}&lang=${language}&subprotocol=${offers ? 'offered' : 'none'}&picture=${picture}`;
    let opened;
    try {
      socket = new WebSocket(purpose + about, ['saoma.v1', `resume.${resumes}`].slice(0, offers + !!resumes));
    } catch ({ message }) {
      return fail('refused', message);
    }
    socket.onopen = () => {
      opened = true;
      unopened = 0;
    };
    socket.onmessage = ({ data }) => receive(JSON.parse(data));
    socket.onclose = ({ code }) => {
      socket = null;
      if (!opened) askWhy();
      closed(code);
    };
  }

  async function askWhy() {
    const answer = await fetch(door, { method: 'POST', cache: 'no-store' }).catch(() => 0);
    if (!/40[03]|426/.test(answer.status)) {
      unopened = 0;
      offers = true;
      return;
    }
    unopened += 1;
    offers = unopened !== 2 || answer.status !== 426;
    const message = (await answer.text()).slice(0, 600);
    if (socket || isOver() || unopened < 2) return;
    view.detail = message;
    render();
    if (unopened === 2) onError({ code: 'refused', message });
  }

  function disconnect() {
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
    socket = null;
  }

  const lose = () => socket && closed(disconnect());

  function closed(code) {
    if (isOver()) return;
    if (code === 4001) return renew(Math.random() * MOMENT);
    if (code === 4002) return show('stopped_here');
    if (code === 4010) return show('expired');
    if (/100[2789]/.test(code)) return fail('refused', error.detail || `closed ${code}`);
    isFree = !/1013|4008/.test(code);
    retryAt = backOff() + Math.max(now(), (!isFree && error.until) || 0);
    if (!isFree) showWait(retryAt);
    else if (failures > 1) note('offline', { until: retryAt, detail: view.detail });
    else note('connecting_again');
  }

  function receive(message, at = now()) {
    const { message_type, url, image, content, typed, open, resume, expires_in, number, retry_in, user, code = '' } = message;
    heardAt = at;
    const picture = image || url;
    const until = heardAt + expires_in * 1e3 || 0;
    if (message_type === 'qrcode_url') {
      const isScanned = resume && resume === resumeKey && view.state === 'scanned';
      failures = 0;
      error = {};
      keepKey(resume);
      if (expires_in === 0) return; // Ended.
      if (!ways && (typed || open || /login/.test(content) || navigator.maxTouchPoints)) {
        import('./ways.v1.js').then(({ extend }) => {
          if (!box.parentNode) return;
          ways ||= extend(box, render);
          if (view.state === 'connecting') receive(message, at);
          else render(ways.hear(message));
        }, ({ message }) => picture || fail('refused', message));
        if (!picture) return;
      }
      ways?.hear(message);
      if (image || resume !== pictured) {
        parts.code.onerror = () => {
          parts.code.onerror = null;
          parts.code.src = url;
        };
        parts.code.src = picture;
        pictured = image && resume;
      }
      if (isScanned) show(view.said, { until, number: view.number });
      else show('waiting', { until });
    } else if (message_type === 'scanned') {
      renewals = 0;
      show(number ? 'scanned_number' : 'scanned', { until, number });
    } else if (message_type === 'scan_success') {
      show('granted', { user });
      onLogin?.({ code, verifier, user });
    } else if (message_type === 'error') {
      error = { detail: message.message, until: heardAt + retry_in || 0 };
      showWait(error.until);
    } else if (message_type === 'denied') show(message_type);
    else if (message_type === 'expired') renew(0);
  }

  function renew(delay) {
    keepKey();
    if (document.hidden || renewals >= 3) return show('expired');
    renewals += 1;
    begin(delay);
  }

  function begin(delay) {
    show(resumeKey ? 'connecting_again' : 'connecting');
    if (!resumeKey && socket?.readyState === 1) return socket.send('{"message_type":"refresh"}');
    disconnect();
    isFree = true;
    retryAt = now() + delay;
  }

  const isOver = () => /granted|denied|expired|stopped/.test(view.state);

  function show(said, more) {
    view = { said, state: said.split('_')[0], ...more };
    if (isOver() && said !== 'stopped_here') keepKey();
    render();
    onState?.(view.state, view);
  }

  function note(said, more) {
    if (view.state !== 'scanned') return show(said, more);
    view.detail = more?.detail || say(said);
    render();
  }

  function showWait(until) {
    const more = { ...error, until };
    if (resumeKey) note('connecting_wait', more);
    else show('busy', more);
  }

  function fail(code, message) {
    show(code === 'refused' ? 'stopped_refused' : 'stopped_misfit', { detail: message });
    onError({ code, message });
  }

  const say = (said, value = '%') => (ways?.words[said] || WORDS[said])[+(language === 'en')].replace('%', value);

  const box = add(element || new DocumentFragment(), 'box');
  const stage = add(box, 'stage');
  const parts = { code: add(stage, 'code', 'img'), button: add(stage, 'button', 'button') };
  const live = add(box, 'live', 'output');
  for (const name of ['user', 'status', 'detail', 'say']) parts[name] = add(live, name);
  parts.countdown = add(box, 'countdown');
  parts.number = add(stage, 'number');
  const mark = svg('svg');
  const line = svg('path');
  mark.classList = 'saoma-mark';
  mark.ariaHidden = true;
  mark.setAttribute('viewBox', '0 0 272 272');
  mark.append(line);
  stage.append(mark);
  box.tabIndex = -1;
  parts.button.type = 'button';

  function set(name, text) {
    if (parts[name].textContent !== (text ||= '')) parts[name].textContent = text;
  }

  function render() {
    const { said, state, number, detail, user } = view;
    const press = WORDS[said][2];
    box.lang = language;
    box.dataset.state = state;
    set('user', user);
    set('status', say(said));
    set('number', number);
    set('say', number);
    set('detail', detail || (forgets && state === 'waiting' && say('forgets')));
    set('button', press && say(press));
    line.setAttribute('d', number ? '' : MARKS[state] || RING + 'm48-26v30m0 20v.1');
    parts.code.alt = say('waiting');
    parts.code.hidden = state !== 'waiting';
    if (!press && document.activeElement === parts.button) box.focus();
    parts.button.hidden = !press;
    ways?.render(state, language);
    count();
  }

  function count() {
    const ofCode = /waiting|scanned/.test(view.state);
    const left = Math.ceil((view.until - now()) / 1e3);
    if (ofCode && left <= 0 && view.until) return show('connecting_wait');
    const time = left > 0 && new Date(left * 1e3).toISOString().slice(left < 3600 ? 14 : 11, 19);
    set('countdown', time && say(ofCode ? 'left' : 'next', time));
    if (ofCode && left === 30) set('say', parts.countdown.textContent);
  }

  const end = new AbortController();
  const on = (target, type, act) => target.addEventListener(type, act, end);
  for (const type of ['click', 'keydown']) on(window, type, () => { renewals = 0; });
  on(document, 'visibilitychange', () => document.hidden || wake(HEARTBEAT + MOMENT));
  on(window, 'pageshow', ({ persisted }) => persisted && wake(0));
  on(window, 'offline', lose);
  on(window, 'online', () => wake(MOMENT));
  on(parts.button, 'click', () => {
    begin(0);
    tick();
  });
  const timer = setInterval(tick, 500);
  show('connecting');
  start();

  return {
    destroy() {
      end.abort();
      clearInterval(timer);
      disconnect();
      slots.delete(slot);
      box.remove();
    },
    setLang(lang) {
      language = languageOf([lang]);
      view.detail = '';
      render();
    },
  };
}

function post(element, action, { code, verifier }) {
  const saoma_csrf_token = random();
  const secure = location.protocol === 'https:' ? ';secure' : '';
  document.cookie = `saoma_csrf_token=${saoma_csrf_token};path=/;samesite=strict${secure}`;
  const form = add(element, 'form', 'form');
  const fields = { code, verifier, saoma_csrf_token };
  for (const name in fields) Object.assign(add(form, 'field', 'input'), { type: 'hidden', name, value: fields[name] });
  Object.assign(form, { method: 'post', action }).submit();
}

try {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(STYLE);
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
} catch {} // Old browsers.

for (const element of document.querySelectorAll('[data-saoma-site]')) {
  const { saomaSite: site, ...more } = element.dataset;
  mount(element, { ...more, site, onLogin: (login) => post(element, more.loginUri || '', login) });
}
