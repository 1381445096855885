// The gateway's login page. It holds one socket to the gateway, shows the QR code that comes over it, and tells the
// person how the login goes on. The gateway decides everything: the page never renews a code by its own clock, and it
// believes a login is over only when told so. What it does on its own is to stay connected: it comes back after a lost
// connection with the resume key, spread by jitter, and finds its login as it left it.
//
// A page of another site that wants the outcome listens for `saoma:login` on its document.
'use strict';

(() => {
  const SECOND = 1000;
  const SILENCE = 40 * SECOND; // The gateway is heard every 25 s; this is one heartbeat missed, and some patience.
  const FIRST_RETRY = 3 * SECOND; // Pages that lose one gateway together come back spread over this time.
  const LONGEST_RETRY = 30 * SECOND;
  const LONGEST_WAIT = 24 * 3600 * SECOND; // WeChat's allowance of codes is daily: no wait is longer.
  const UNATTENDED_RENEWALS = 3; // WeChat counts codes, so a forgotten tab must not take them for ever.
  const TICK = SECOND / 2;

  const WORDS = {
    'zh-CN': {
      connecting: '正在准备二维码…',
      reconnecting: '连接已中断，正在重新连接…',
      renewing: '正在更换二维码…',
      waiting: '请用微信“扫一扫”扫码登录',
      stale: '二维码已过期，正在更换…',
      scanned: '已扫码，请在微信里继续',
      number: '已扫码，请在微信对话中回复这两位数字',
      granted: '登录成功',
      denied: '这次登录已被取消',
      expired: '二维码已过期',
      busy: '暂时拿不到二维码，请稍候',
      unreachable: '暂时连不上服务器',
      elsewhere: '已转到另一个窗口继续登录',
      refused: '服务器拒绝了这次登录',
      ended: '这次登录已结束',
      renewButton: '换一个二维码',
      retryButton: '重试',
      hereButton: '在此处继续',
      timeLeft: (time) => `${time} 后过期`,
      timeToRetry: (time) => `${time} 后自动重试`,
      qrcode: '用微信扫描的登录二维码',
      hint: '正在用手机？建议在电脑上打开本页；也可以保存二维码图片，再用微信“扫一扫”从相册选取。',
      other: 'English',
    },
    en: {
      connecting: 'Preparing the QR code…',
      reconnecting: 'Connection lost, reconnecting…',
      renewing: 'Fetching a new QR code…',
      waiting: 'Scan with WeChat to log in',
      stale: 'This code has expired, fetching a new one…',
      scanned: 'Scanned. Please continue in WeChat',
      number: 'Scanned. Reply with this number in the WeChat chat',
      granted: 'You are logged in',
      denied: 'This login was declined',
      expired: 'The QR code has expired',
      busy: 'No QR code just now, please wait',
      unreachable: 'The server cannot be reached',
      elsewhere: 'This login continues in another window',
      refused: 'The server refused this login',
      ended: 'This login is over',
      renewButton: 'New QR code',
      retryButton: 'Try again',
      hereButton: 'Continue here',
      timeLeft: (time) => `Expires in ${time}`,
      timeToRetry: (time) => `Trying again in ${time}`,
      qrcode: 'QR code to scan with WeChat',
      hint: 'On your phone? Best open this page on a computer; or save the picture and choose it from the album in WeChat’s Scan.',
      other: '中文',
    },
  };

  const element = (id) => document.getElementById(id);
  const visible = () => document.visibilityState === 'visible';

  // What the person sees. `words` and `button` name entries of WORDS, so that the language can change at any moment.
  let view = { state: 'connecting', words: 'connecting' };
  let language = chooseLanguage();
  let expiresAt = null; // By this clock, which only dims the code and counts down.

  // The connection. At any moment there is a socket, or a time to try again, or the login is over.
  let socket = null;
  let heardAt = 0;
  let retryAt = null;
  let mayHurry = true; // False where the gateway itself named the time to wait.
  let failures = 0; // Since the last QR code came.
  let complaint = null; // The gateway's last `error`: often the reason for the close that follows.
  let renewals = 0; // Since somebody last touched the page.
  let resumeKey = recallKey();

  // ---- The resume key: whoever holds it gets the outcome, so it stays in this tab and out of every URL. ----

  /** Where logins come from: the gateway, with what the page's own URL says about the site. */
  function gatewayUrl(...parameters) {
    const url = new URL('ws', document.baseURI);
    url.protocol = url.protocol.replace('http', 'ws');
    const query = new URLSearchParams(location.search);
    for (const name of parameters) {
      if (query.has(name)) url.searchParams.set(name, query.get(name));
    }
    return url.href;
  }

  /** A resumed login keeps the site it was begun for, so a key serves only the same purpose again. */
  function purpose() {
    return gatewayUrl('site', 'nonce', 'code_challenge', 'request');
  }

  function recallKey() {
    try {
      const [key, keptFor] = JSON.parse(sessionStorage.getItem('saoma.resume'));
      return keptFor === purpose() && /^[\w.-]+$/.test(key) ? key : null;
    } catch {
      return null; // Nothing kept, or storage is switched off: then a reload takes a new code.
    }
  }

  function keepKey(key) {
    resumeKey = key;
    try {
      if (key) sessionStorage.setItem('saoma.resume', JSON.stringify([key, purpose()]));
      else sessionStorage.removeItem('saoma.resume');
    } catch {
      // Memory is enough until the next reload.
    }
  }

  // ---- The connection ----

  function connect() {
    disconnect();
    retryAt = null;
    complaint = null;
    heardAt = Date.now();
    const protocols = ['saoma.v1'];
    if (resumeKey) protocols.push(`resume.${resumeKey}`);
    socket = new WebSocket(gatewayUrl('site', 'nonce', 'code_challenge', 'request', 'lang'), protocols);
    socket.onmessage = (event) => receive(event.data);
    socket.onclose = (event) => {
      socket = null;
      closed(event.code);
    };
  }

  /** Lets go of a socket without hearing of its close, which may come much later or never. */
  function disconnect() {
    if (!socket) return;
    socket.onmessage = null;
    socket.onclose = null;
    socket.close();
    socket = null;
  }

  function closed(code) {
    if (isOver()) return; // Nothing to come back for; the button begins anew.
    switch (code) {
      case 4010: // Done, though the outcome was not understood.
        keepKey(null);
        return show('stopped', 'ended', { button: 'renewButton' });
      case 4001: // The gateway does not know this login any more.
        keepKey(null);
        return renewUnlessForgotten();
      case 4002:
        return show('stopped', 'elsewhere', { button: 'hereButton' });
      case 1008:
      case 1009:
        return show('stopped', 'refused', { button: 'retryButton', detail: complaint && complaint.message });
      case 1013:
      case 4008:
        return comeBackWhenTold();
      default: // 1001, 1006 and whatever else happens to connections.
        return comeBack();
    }
  }

  function comeBack() {
    const firstTime = failures === 0;
    mayHurry = true;
    retryAt = Date.now() + backOff();
    if (firstTime) showUnlessScanned('connecting', 'reconnecting');
    else showUnlessScanned('error', 'unreachable', { button: 'retryButton' });
  }

  function comeBackWhenTold() {
    mayHurry = false;
    const spread = backOff();
    retryAt = complaint && complaint.triesAt ? complaint.triesAt + spread : Date.now() + FIRST_RETRY + spread;
    showUnlessScanned('error', 'busy', { detail: complaint && complaint.message });
  }

  /** Any time up to a bound that doubles: however many pages lost the gateway, they do not return together. */
  function backOff() {
    const bound = Math.min(FIRST_RETRY * 2 ** failures, LONGEST_RETRY);
    failures += 1;
    return Math.random() * bound;
  }

  // ---- What the gateway says ----

  function receive(text) {
    heardAt = Date.now();
    let message;
    try {
      message = JSON.parse(text) || {};
    } catch {
      return; // Not of this wire. A later version may know more message types, too, which fall through below.
    }
    switch (message.message_type) {
      case 'qrcode_url':
        return showCode(message);
      case 'scanned':
        expiresAt = deadline(message.expires_in, SECOND);
        return showScanned(message.number);
      case 'scan_success':
        return finish(message);
      case 'denied':
        return show('denied', 'denied', { button: 'renewButton' });
      case 'expired':
        return renewUnlessForgotten();
      case 'error': // Without a close after it the gateway tries again by itself.
        complaint = { message: message.message, triesAt: deadline(message.retry_in, 1) };
        return showUnlessScanned('error', 'busy', { detail: complaint.message });
    }
  }

  function showCode(message) {
    const resumed = resumeKey !== null && message.resume === resumeKey;
    failures = 0;
    complaint = null;
    keepKey(message.resume || null);
    expiresAt = deadline(message.expires_in, SECOND);

    const qrcode = element('qrcode');
    const drawn = String(message.image || '').startsWith('data:image/') ? message.image : null;
    qrcode.onerror = drawn && message.url ? () => { qrcode.onerror = null; qrcode.src = message.url; } : null;
    qrcode.src = drawn || message.url || '';

    // A scanned login never goes back to waiting, and its number must not flicker while it is being typed.
    if (resumed && view.state === 'scanned') showScanned(view.number);
    else show('waiting', 'waiting');
  }

  function showScanned(number) {
    const digits = number === undefined || number === null ? '' : String(number).padStart(2, '0');
    show('scanned', digits ? 'number' : 'scanned', { number: digits });
  }

  function finish({ user, code }) {
    const name = typeof user === 'string' ? user.trim() : '';
    keepKey(null);
    show('granted', 'granted', { user: name });
    if (code) document.dispatchEvent(new CustomEvent('saoma:login', { detail: { code, user: name } }));
  }

  function deadline(amount, unit) {
    return Number.isFinite(amount) ? Date.now() + Math.min(amount * unit, LONGEST_WAIT) : null;
  }

  // ---- Renewal ----

  /** The code is over. It is replaced while somebody may be looking; else a button waits for them. */
  function renewUnlessForgotten() {
    if (!visible() || renewals >= UNATTENDED_RENEWALS) return show('expired', 'expired', { button: 'renewButton' });
    renewals += 1;
    renew(Math.random() * SECOND);
  }

  /** A new code over the same socket; without one, over a new socket after `delay`, since many may have lost theirs. */
  function renew(delay) {
    show('connecting', 'renewing');
    if (socket && socket.readyState === WebSocket.OPEN) {
      socket.send('{"message_type":"refresh"}');
    } else {
      keepKey(null);
      mayHurry = true;
      retryAt = Date.now() + delay;
    }
  }

  function press() {
    const stillOurs = view.button === 'hereButton' || view.state === 'error';
    if (stillOurs) {
      show('connecting', 'reconnecting');
      connect();
    } else {
      renew(0);
      tick();
    }
  }

  // ---- Time. Every wait compares Date.now(), because timers stand still while the machine sleeps. ----

  function tick() {
    const now = Date.now();
    if (socket && now - heardAt > SILENCE) {
      disconnect();
      closed();
    }
    if (retryAt !== null && now >= retryAt) connect();
    renderTime();
  }

  /** Somebody is back, or the network is: no waiting out of a back-off then. */
  function wake() {
    tick();
    if (retryAt !== null && mayHurry) connect();
    if (view.state === 'expired') renewUnlessForgotten();
  }

  // ---- The person's view ----

  function isOver() {
    return ['granted', 'denied', 'expired', 'stopped'].includes(view.state);
  }

  function show(state, words, more = {}) {
    view = { state, words, ...more };
    render();
  }

  /** A person who is typing the number keeps it on show while the connection is mended. */
  function showUnlessScanned(state, words, more) {
    if (view.state === 'scanned') show('scanned', words, { number: view.number });
    else show(state, words, more);
  }

  function render() {
    const words = WORDS[language];
    document.documentElement.lang = language;
    document.body.dataset.state = view.state;
    setText('user', view.user);
    setText('number', view.number);
    setText('detail', view.detail);
    setText('hint', words.hint);
    element('qrcode').alt = words.qrcode;
    element('qrcode').hidden = view.state !== 'waiting' && !(view.state === 'connecting' && resumeKey);
    element('renew').hidden = !view.button;
    setText('renew', words[view.button]);
    renderLanguageLink();
    renderTime();
  }

  /** The countdown, and a code that is not on show a moment longer than it lives. */
  function renderTime() {
    const words = WORDS[language];
    const ofCode = view.state === 'waiting' || view.state === 'scanned';
    const until = ofCode ? expiresAt : view.state === 'error' ? retryAt || (complaint && complaint.triesAt) : null;
    const left = until === null ? null : Math.max(0, Math.ceil((until - Date.now()) / SECOND));
    const stale = ofCode && left === 0;
    document.body.classList.toggle('stale', stale);
    setText('status', words[stale && view.state === 'waiting' ? 'stale' : view.words]);
    setText('countdown', left ? words[ofCode ? 'timeLeft' : 'timeToRetry'](minutes(left)) : '');
  }

  function minutes(seconds) {
    return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
  }

  /** Only ever as text; and only when it changed, so that screen readers say it once. */
  function setText(id, text) {
    const value = text || '';
    if (element(id).textContent !== value) element(id).textContent = value;
  }

  function chooseLanguage() {
    const wishes = [new URLSearchParams(location.search).get('lang'), ...navigator.languages];
    const known = wishes.map((wish) => /^(zh|en)\b/i.exec(wish || '')).find(Boolean);
    return known && known[1].toLowerCase() === 'zh' ? 'zh-CN' : 'en';
  }

  function otherLanguage() {
    return language === 'en' ? 'zh-CN' : 'en';
  }

  function renderLanguageLink() {
    const query = new URLSearchParams(location.search);
    query.set('lang', otherLanguage());
    const link = element('language');
    link.href = `?${query}`;
    link.lang = otherLanguage();
    link.hidden = false;
    setText('language', WORDS[language].other);
  }

  /** Changes the language in place: the login goes on, and a reload remembers the choice. */
  function switchLanguage(event) {
    event.preventDefault();
    history.replaceState(null, '', element('language').href);
    language = otherLanguage();
    render();
  }

  for (const sign of ['pointerdown', 'keydown']) addEventListener(sign, () => { renewals = 0; });
  addEventListener('online', wake);
  addEventListener('pageshow', wake);
  document.addEventListener('visibilitychange', () => { if (visible()) wake(); });
  element('renew').addEventListener('click', press);
  element('language').addEventListener('click', switchLanguage);
  setInterval(tick, TICK);
  render();
  connect();
})();
