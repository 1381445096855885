// The login page of the gateway, and of the issuer's /authorize. It holds one socket to the gateway, shows the QR code that comes over it, and tells the
// person how the login goes on. The gateway decides everything: a login is over only when it says so, and the page's
// own clock merely hides a code that may be dead. What the page does by itself is to stay connected: it comes back
// after a lost connection with the resume key, spread by jitter, and finds its login as it stands.
//
// A page of another site that wants the outcome listens for `saoma:login` on its document. The issuer's page does so too
// (authorize.js): its body says where the gateway is, for which request the login is, and the name of the site.
'use strict';

(() => {
  const SECOND = 1000;
  const HEARTBEAT = 25 * SECOND; // The gateway is heard at least this often.
  const SILENCE = 40 * SECOND; // One heartbeat missed, and some patience: nobody is there any more.
  const LATENCY = 3 * SECOND; // What a heartbeat may be late, and a new connection may take.
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
      stale: '已过期，请稍候…',
      moment: '请稍等片刻…',
      scanned: '已扫码，请在微信里继续',
      number: '已扫码，请在微信对话中回复这两位数字',
      granted: '登录成功',
      returning: (site) => `登录成功，正在返回 ${site}…`,
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
      press: '长按上面的二维码，再选“识别图中的二维码”。',
      title: (site) => `登录 ${site}`,
      back: (site) => `返回 ${site}`,
      other: 'English',
    },
    en: {
      connecting: 'Preparing the QR code…',
      reconnecting: 'Connection lost, reconnecting…',
      renewing: 'Fetching a new QR code…',
      waiting: 'Scan with WeChat to log in',
      stale: 'Expired. One moment, please…',
      moment: 'One moment, please…',
      scanned: 'Scanned. Please continue in WeChat',
      number: 'Scanned. Reply with this number in the WeChat chat',
      granted: 'You are logged in',
      returning: (site) => `You are logged in, returning to ${site}…`,
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
      press: 'Press and hold the QR code above, then choose to scan it.',
      title: (site) => `Log in to ${site}`,
      back: (site) => `Back to ${site}`,
      other: '中文',
    },
  };

  const element = (id) => document.getElementById(id);
  const visible = () => document.visibilityState === 'visible';

  const inWeChat = /MicroMessenger/i.test(navigator.userAgent);

  // What the issuer's page says of its login; the gateway's own page says nothing, and its URL does.
  const { gateway, request, site, lang } = document.body.dataset;

  // What the person sees. `words` and `button` name entries of WORDS, so that the language can change at any moment;
  // `until` is when the code on show dies, or else when the next try is made.
  let view = { state: 'connecting', words: 'connecting' };
  let language = chooseLanguage();

  // The connection. At any moment there is a socket, or a time to try again, or the login is over.
  let socket = null;
  let heardAt = 0;
  let retryAt = null;
  let mayHurry = true; // False where the gateway itself named the time to wait.
  let failures = 0; // Since the last QR code came, or something changed on this side.
  let complaint = null; // The gateway's last `error`: often the reason for the close that follows.
  let renewals = 0; // Since a person last did anything.
  let resumeKey = recallKey();
  let pictured = null; // The resume key of the login whose picture is there: it need not be sent again.
  let offers = true; // The subprotocol, which some proxies drop; the browser then closes every socket at once.
  let neverOpened = 0; // Sockets in a row that never opened although the gateway answers.

  // ---- Time ----

  let clock = 0;
  let clockReadAt = Date.now();
  let tickedAt = 0;

  /** In ms. Unlike Date.now() it never goes back; unlike performance.now() it goes on while the machine sleeps. */
  function now() {
    const read = Date.now();
    clock += Math.max(0, read - clockReadAt);
    clockReadAt = read;
    return clock;
  }

  function deadline(amount, unit) {
    return Number.isFinite(amount) ? now() + Math.min(amount * unit, LONGEST_WAIT) : null;
  }

  /** Any time up to a bound that doubles: however many pages lost the gateway, they do not return together. */
  function backOff(failuresBefore, chance) {
    return chance * Math.min(FIRST_RETRY * 2 ** failuresBefore, LONGEST_RETRY);
  }

  /** Runs twice a second at best: in a tab out of sight once a minute, in sleep never. So it only compares times. */
  function tick() {
    const slept = visible() && now() - tickedAt > HEARTBEAT;
    tickedAt = now();
    if (slept) return wake(HEARTBEAT + LATENCY);
    if (socket && now() - heardAt >= SILENCE) lose();
    if (retryAt !== null && now() >= retryAt) connect();
    renderTime();
  }

  /** Somebody is back, or the network is: no back-off is waited out, nor a socket that was silent for `patience`. */
  function wake(patience) {
    failures = 0;
    if (socket && (socket.readyState > WebSocket.OPEN || now() - heardAt >= patience)) lose();
    if (view.state === 'expired') renewUnlessForgotten(0);
    if (retryAt !== null && mayHurry) retryAt = now();
    tick();
  }

  // ---- The resume key: whoever holds it gets the outcome, so it stays in this tab and out of every URL. ----

  /** Where logins come from. */
  function gatewayUrl() {
    return new URL('ws', gateway ? `${gateway}/` : document.baseURI);
  }

  /**
   * The gateway, with what the login is for. A resumed login keeps that, so a key serves only the same purpose again. In
   * the query of the issuer's page everything is for the issuer, such as its nonce, and only the request is told.
   */
  function purpose() {
    const url = gatewayUrl();
    url.protocol = url.protocol.replace('http', 'ws');
    const query = new URLSearchParams(request ? { request } : location.search);
    for (const name of ['site', 'nonce', 'code_challenge', 'request']) {
      if (query.get(name)) url.searchParams.set(name, query.get(name));
    }
    return url.href;
  }

  function recallKey() {
    try {
      const [key, keptFor] = JSON.parse(sessionStorage.getItem('saoma.resume'));
      return keptFor === purpose() && /^[\w.-]+$/.test(key) ? key : null;
    } catch {
      return null; // Nothing kept, or storage is switched off: then a reload takes a new code.
    }
  }

  /** A duplicate of this tab has the key as well: the newer socket gets the login, and the older one hears 4002. */
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
    heardAt = now();
    const protocols = offers ? ['saoma.v1'] : [];
    if (offers && resumeKey) protocols.push(`resume.${resumeKey}`);
    const url = new URL(purpose());
    url.searchParams.set('lang', language); // In which the gateway says its words, too.
    url.searchParams.set('subprotocol', offers ? 'offered' : 'none');
    if (offers && resumeKey && resumeKey === pictured) url.searchParams.set('picture', 'kept');
    let opened = false;
    socket = new WebSocket(url.href, protocols);
    socket.onopen = () => {
      opened = true;
      neverOpened = 0;
    };
    socket.onmessage = (event) => receive(event.data);
    socket.onclose = (event) => {
      socket = null;
      if (!opened) askWhy();
      closed(event.code);
    };
  }

  /**
   * A socket did not open, and scripts cannot read why. The gateway says it to a plain request, if that gets through.
   * If it does twice in a row, something on the way takes WebSockets apart: then one try is made without a
   * subprotocol. That costs the resume, so it is never made while the gateway may only have been away.
   */
  async function askWhy() {
    let answer;
    try {
      answer = await fetch(gatewayUrl(), { method: 'POST', cache: 'no-store' });
      if (![400, 403, 426].includes(answer.status)) throw answer.status;
    } catch {
      neverOpened = 0;
      offers = true;
      return;
    }
    neverOpened += 1;
    offers = neverOpened !== 2 || answer.status !== 426;
    const reason = (await answer.text()).slice(0, 600);
    if (socket || isOver() || neverOpened < 2) return;
    view.detail = reason;
    render();
  }

  /** Lets go of a socket without hearing of its close, which may come much later or never. */
  function disconnect() {
    if (!socket) return;
    socket.onopen = null;
    socket.onmessage = null;
    socket.onclose = null;
    socket.close();
    socket = null;
  }

  function lose() {
    if (!socket) return;
    disconnect();
    closed();
  }

  function closed(code) {
    if (isOver()) return; // Nothing to come back for; the button begins anew.
    switch (code) {
      case 1013:
      case 4008:
        return comeBackWhenTold();
      case 4001: // The login is not known any more. Thousands may be told so at once, when a store comes back empty.
        return renewUnlessForgotten(Math.random() * FIRST_RETRY);
      case 4002: // Coming back by itself, a page would be in a fight with the one that has the login now.
        return show('stopped', 'elsewhere', { button: 'hereButton' });
      case 1002:
      case 1007:
      case 1008:
      case 1009:
        keepKey(null);
        return show('stopped', 'refused', { button: 'retryButton', detail: complaint && complaint.message });
      case 4010: // Done, though the outcome was not understood.
        keepKey(null);
        return show('stopped', 'ended', { button: 'renewButton' });
      default: // 1001, 1006 and whatever else happens to connections.
        return comeBack();
    }
  }

  function comeBack() {
    mayHurry = true;
    retryAt = now() + backOff(failures, Math.random());
    if (failures === 0) showUnlessScanned('connecting', 'reconnecting');
    else showUnlessScanned('error', 'unreachable', { until: retryAt, button: 'retryButton', detail: view.detail });
    failures += 1;
  }

  function comeBackWhenTold() {
    mayHurry = false;
    retryAt = Math.max(now(), complaint && complaint.triesAt) + backOff(failures, Math.random());
    failures += 1;
    showWait(retryAt);
  }

  // ---- What the gateway says ----

  function receive(text) {
    heardAt = now();
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
        return showScanned(message.number, deadline(message.expires_in, SECOND));
      case 'scan_success':
        return finish(message);
      case 'denied':
        keepKey(null);
        return show('denied', 'denied', { button: 'renewButton' });
      case 'expired':
        return renewUnlessForgotten(0);
      case 'error': // Without a close after it the gateway tries again by itself, and says how the login stands.
        complaint = { message: message.message, triesAt: deadline(message.retry_in, 1) };
        return showWait(complaint.triesAt);
    }
  }

  function showCode(message) {
    const same = resumeKey !== null && message.resume === resumeKey;
    failures = 0;
    complaint = null;
    keepKey(message.resume || null);
    if (message.expires_in === 0) return; // The login has ended while the page was away: how, is said next.
    const until = deadline(message.expires_in, SECOND);

    if (message.image !== undefined || message.resume !== pictured) {
      const qrcode = element('qrcode');
      const drawn = String(message.image || '').startsWith('data:image/') ? message.image : null;
      qrcode.onerror = drawn && message.url ? () => { qrcode.onerror = null; qrcode.src = message.url; } : null;
      qrcode.src = drawn || message.url || '';
      pictured = drawn && message.resume;
    }

    // A scanned login never goes back to waiting, and its number must not flicker while it is being typed.
    if (same && view.state === 'scanned') showScanned(view.number, until);
    else show('waiting', 'waiting', { until });
  }

  function showScanned(number, until) {
    const digits = number || number === 0 ? String(number).padStart(2, '0') : '';
    renewals = 0; // A person did that.
    show('scanned', digits ? 'number' : 'scanned', { number: digits, until });
  }

  function finish({ user, code }) {
    const name = typeof user === 'string' ? user.trim() : '';
    keepKey(null);
    show('granted', code && site ? 'returning' : 'granted', { user: name });
    if (code) document.dispatchEvent(new CustomEvent('saoma:login', { detail: { code, user: name } }));
  }

  // ---- Renewal ----

  /** The login is over. Its code is replaced while somebody may be looking; else a button waits for them. */
  function renewUnlessForgotten(delay) {
    keepKey(null);
    if (!visible() || renewals >= UNATTENDED_RENEWALS) return show('expired', 'expired', { button: 'renewButton' });
    renewals += 1;
    begin(delay);
  }

  /** A new login over the same socket, where there is one; else over a new socket, which may also resume one. */
  function begin(delay) {
    show('connecting', resumeKey ? 'reconnecting' : 'renewing');
    if (!resumeKey && socket && socket.readyState === WebSocket.OPEN) {
      socket.send('{"message_type":"refresh"}');
    } else {
      disconnect();
      mayHurry = true;
      retryAt = now() + delay;
    }
  }

  function press() {
    renewals = 0;
    begin(0);
    tick();
  }

  // ---- The person's view ----

  function isOver() {
    return ['granted', 'denied', 'expired', 'stopped'].includes(view.state);
  }

  function show(state, words, more = {}) {
    view = { state, words, ...more };
    render();
  }

  /** Whoever has scanned goes on in WeChat, and may be typing the number, while the connection is mended. */
  function showUnlessScanned(state, words, more = {}) {
    if (view.state !== 'scanned') return show(state, words, more);
    view.detail = more.detail || WORDS[language][words];
    render();
  }

  /** The gateway asked for patience: with a login that it cannot look up for the moment, or without any. */
  function showWait(until) {
    const more = { detail: complaint && complaint.message, until };
    if (resumeKey) showUnlessScanned('connecting', 'moment', more);
    else show('error', 'busy', more);
  }

  function render() {
    const words = WORDS[language];
    document.documentElement.lang = language;
    document.body.dataset.state = view.state;
    setText('user', view.user);
    setText('status', view.words === 'returning' ? words.returning(site) : words[view.words]);
    setText('number', view.number);
    setText('detail', view.detail);
    setText('hint', inWeChat ? words.press : words.hint);
    element('qrcode').alt = words.qrcode;
    element('qrcode').hidden = view.state !== 'waiting'; // Whatever else goes on, it may be dead.
    element('renew').hidden = !view.button;
    setText('renew', words[view.button]);
    if (site) renderSite();
    renderLanguageLink();
    renderTime();
  }

  /** Names the site that the person logs in to, and leads back there. */
  function renderSite() {
    document.title = WORDS[language].title(site);
    setText('title', document.title);
    setText('back', WORDS[language].back(site));
  }

  /** The countdown, at whose end a code leaves the screen; but only the gateway knows whether it has expired. */
  function renderTime() {
    const ofCode = view.state === 'waiting' || view.state === 'scanned';
    const left = view.until ? Math.max(0, Math.ceil((view.until - now()) / SECOND)) : null;
    if (ofCode && left === 0) return show('connecting', 'stale');
    setText('countdown', left ? WORDS[language][ofCode ? 'timeLeft' : 'timeToRetry'](minutes(left)) : '');
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
    const wishes = [...new URLSearchParams(location.search).getAll('lang'), lang, ...navigator.languages];
    const known = wishes.map((wish) => /^(zh|en)(?![a-z0-9])/i.exec(wish)).find(Boolean);
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
    view.detail = ''; // The gateway's own words were in the other language.
    render();
  }

  for (const act of ['pointerdown', 'keydown']) addEventListener(act, () => { renewals = 0; });
  // After a laptop's sleep a socket may look open though nobody is there.
  document.addEventListener('visibilitychange', () => { if (visible()) wake(HEARTBEAT + LATENCY); });
  addEventListener('pageshow', (event) => { if (event.persisted) wake(0); });
  addEventListener('offline', lose);
  addEventListener('online', () => wake(LATENCY)); // An attempt under way is let finish.
  element('renew').addEventListener('click', press);
  element('language').addEventListener('click', switchLanguage);
  setInterval(tick, TICK);
  render();
  connect();
})();
