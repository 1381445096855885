// The ways to log in beside a QR code: a short code that is sent to the official account, and WeChat's own login where the
// page is open inside WeChat. The widget loads this only where a login has one of them, or where a finger is used; so a
// page of a QR code alone stays small. docs/widget.md says which way is shown where.

// Chinese, English. % is a name, and an empty one has words of its own.
const WORDS = {
  copy: ['复制', 'Copy'],
  copied: ['已复制', 'Copied'],
  select: ['请长按或选中后复制', 'Please select and copy it'],
  send: ['把登录码发给公众号“%”', 'Send this code to “%” in WeChat'],
  send_: ['把登录码发给微信公众号', 'Send this code to our official account in WeChat'],
  step_copy: ['复制登录码', 'Copy the code'],
  step_open: ['打开微信，发给公众号“%”', 'Open WeChat and send it to “%”'],
  step_open_: ['打开微信，发给公众号', 'Send it to the account in WeChat'],
  step_inside: ['在微信里发给公众号“%”', 'In WeChat, send it to “%”'],
  step_inside_: ['在微信里发给公众号', 'In WeChat, send it to the account'],
  step_back: ['回到本页，登录会自动完成', 'Come back here to be logged in'],
  open: ['打开微信', 'Open WeChat'],
  picture: ['公众号“%”的二维码', 'QR code of the official account “%”'],
  picture_: ['公众号的二维码', 'QR code of the official account'],
  find_desk: ['用微信“扫一扫”进入公众号，再发送登录码', 'Scan this to open the account, then send the code'],
  find_phone: ['还没关注？保存此图，用微信“扫一扫”从相册选取', 'New to it? Save this picture and choose it in WeChat’s Scan'],
  find_inside: ['还没关注？长按此图进入公众号', 'New to it? Press and hold this picture'],
  search: ['在微信里搜索公众号“%”', 'Search WeChat for “%”'],
  search_: ['', ''],
  either: ['长按二维码识别，或发送登录码', 'Press and hold the QR code, or send the code'],
  either_desk: ['扫描二维码，或发送登录码', 'Scan the QR code, or send the code'],
  log_in: ['用微信登录', 'Log in with WeChat'],
  tap: ['点一下，用你的微信登录', 'Tap to log in with your WeChat'],
  again: ['登录还没有完成', 'This login is not finished yet'],
  again_number: ['记住这个数字，再继续登录', 'Remember this number and go on'],
  sent: ['已收到，请在微信里继续', 'Received. Please continue in WeChat'],
  sent_number: ['请在微信里继续，需要时用这两位数字', 'Please continue in WeChat; it may ask for this number'],
  choose: ['请在微信里选择这个数字', 'Choose this number in WeChat'],
  preparing: ['正在准备登录码…', 'Preparing the code…'],
  expired: ['登录码已过期', 'The code has expired'],
  renew: ['换一个登录码', 'New code'],
  cannot_scan: ['不方便扫码？', 'Cannot scan?'],
  show_code: ['改用二维码', 'Use a QR code instead'],
  others: ['其他登录方式', 'Other ways to log in'],
  hold: ['长按二维码登录', 'Press and hold the QR code to log in'],
  hold_hint: ['长按后，选择“识别图中的二维码”。', 'Then choose to scan it.'],
  save: [
    '正在用手机？建议在电脑上打开本页；也可以保存二维码图片，再用微信“扫一扫”从相册选取。',
    'On your phone? Best open this page on a computer; or save the picture and choose it from the album in WeChat’s Scan.',
  ],
};

const BUBBLES =
  'M118 84c-32 0-56 20-56 46 0 15 8 28 21 36l-5 18 20-10c6 2 13 3 20 3M118 84c27 0 49 15 54 36' +
  'M162 126c27 0 48 17 48 40 0 12-7 23-17 31l4 15-17-8c-6 1-12 2-18 2-27 0-48-17-48-40s21-40 48-40';

const STYLE = `@layer saoma{
.saoma-box:lang(en){word-break:keep-all}
.saoma-typed,.saoma-inside{display:grid;justify-items:center;gap:12px;max-width:300px;padding:8px 0}
.saoma-row{display:flex;flex-wrap:wrap;justify-content:center;align-items:center;gap:8px 12px}
.saoma-digits{font-size:38px;font-weight:600;line-height:1.2;letter-spacing:.04em;
font-variant-numeric:tabular-nums;-webkit-user-select:all;user-select:all}
.saoma-digits>*+*::before{content:' ';white-space:pre}
.saoma-copy,.saoma-go,.saoma-app{display:grid;place-items:center;box-sizing:border-box;min-height:44px;min-width:88px;
padding:0 16px;border:1px solid var(--saoma-button,#07803f);border-radius:22px;font:inherit;font-size:16px;
text-decoration:none;cursor:pointer;background:var(--saoma-button,#07803f);color:#fff}
.saoma-app{background:none;color:inherit;border-color:currentColor}
.saoma-go,.saoma-app{min-width:200px}
.saoma-steps{display:grid;gap:6px;margin:0;padding:0 0 0 1.5em;text-align:start;list-style:decimal}
.saoma-picture{width:148px;border-radius:8px;image-rendering:pixelated}
.saoma-find,.saoma-hint{max-width:300px;color:var(--saoma-quiet,inherit)}
.saoma-toggle{min-height:44px;padding:0 12px;border:0;background:none;color:var(--saoma-quiet,inherit);font:inherit;
text-decoration:underline;text-underline-offset:3px;cursor:pointer}}`;

// WeCom calls itself WeChat as well.
const isInside = /MicroMessenger/i.test(navigator.userAgent) && !/wxwork/i.test(navigator.userAgent);
// WeChat opens its own login at the top alone, and not in a mini program. Elsewhere nothing would be seen of it.
const mayOpen = isInside && window.top === window && !/miniProgram/i.test(navigator.userAgent);
const finger = matchMedia('(pointer: coarse)');

/** A name among other words keeps its own direction (U+2068, U+2069). */
const isolated = (name) => `\u2068${name}\u2069`;

/** 482 913, 4829 1357, 482 913 570. */
const groups = (typed) => typed.match(typed.length % 4 ? /.{3}(?!.?$)|.+/g : /.{4}/g);

/** Adds the ways to a widget's box. `again` shows the widget again. */
export function extend(box, again) {
  let login = {};
  let language = 'zh-CN';
  let isOther = false; // The person has asked for another way than the one that is shown first.
  let copied = '';

  const part = (name) => box.querySelector(`.saoma-${name}`);
  const [stage, live, code, say] = ['stage', 'live', 'code', 'say'].map(part);
  const line = stage.querySelector('path');

  function make(parent, name, tag = 'div') {
    const node = document.createElement(tag);
    node.className = `saoma-${name}`;
    node.dir = 'auto';
    parent.append(node);
    return node;
  }

  const inside = make(box, 'inside');
  const go = make(inside, 'go', 'a');
  const typed = make(box, 'typed');
  const row = make(typed, 'row');
  const digits = make(row, 'digits');
  const copy = make(row, 'copy', 'button');
  const steps = make(typed, 'steps', 'ol');
  const app = make(typed, 'app', 'a');
  const picture = make(typed, 'picture', 'img');
  const find = make(typed, 'find');
  const hint = make(box, 'hint');
  const toggle = make(box, 'toggle', 'button');
  live.after(inside, typed);
  copy.type = toggle.type = 'button';
  app.href = 'weixin://';

  /** Which ways there are, and which of them are shown. */
  function shown() {
    const has = { code: !!(login.image || login.url || login.content), typed: !!login.typed };
    const inside = mayOpen && !!login.open;
    const others = has.code || has.typed;
    if (inside) return isOther ? { ...has, others } : { inside, others };
    if (!has.code || !has.typed || isInside) return has;
    const isTyped = finger.matches !== isOther;
    return { code: !isTyped, typed: isTyped, others: true };
  }

  /** The QR code holds the address of a page, which asks there and not in the chat. */
  const isPages = () => /login/.test(login.content);

  const named = (name) => WORDS[login.account ? name : `${name}_`].map((it) => it.replace('%', () => isolated(login.account)));
  const words = (entry) => entry[+(language === 'en')];

  /** What the widget says otherwise than it would. */
  function widgets() {
    const { inside, code, typed } = shown();
    if (inside) return { waiting: WORDS.tap, scanned: WORDS.again, scanned_number: WORDS.again_number };
    const asked = isPages() && { scanned_number: login.typed ? WORDS.sent_number : WORDS.choose };
    if (!typed) return { ...asked, ...(isInside && finger.matches && { waiting: WORDS.hold }) };
    const sent = { scanned: WORDS.sent, scanned_number: WORDS.sent_number };
    if (code) return { ...sent, waiting: finger.matches ? WORDS.either : WORDS.either_desk };
    const own = { ...sent, waiting: named('send') };
    if (login.image || login.url || login.content) return own;
    return { ...own, connecting: WORDS.preparing, expired: WORDS.expired, renew: WORDS.renew };
  }

  const ways = {
    words: {},

    /** The gateway has told of a login. */
    hear(message) {
      // A picture that the page has is not sent again.
      const kept = message.resume === login.resume ? login.account_image : undefined;
      login = { account_image: kept, ...message };
      // The space between the groups is one of the style, so that nobody copies it and no reset takes it away.
      digits.replaceChildren(...(login.typed ? groups(login.typed) : []).map((group) => {
        const node = document.createElement('span');
        node.textContent = group;
        return node;
      }));
      if (login.account_image) picture.src = login.account_image;
      ways.words = widgets();
    },

    /** Puts the ways beside what the widget shows in this state. */
    render(state, isIn) {
      language = isIn;
      const isWaiting = state === 'waiting';
      const ways = shown();
      // A finger that was lifted to WeChat comes back to a login that goes on there.
      show(inside, ways.inside && (isWaiting || state === 'scanned'));
      show(typed, ways.typed && isWaiting);
      show(toggle, ways.others && isWaiting);
      show(hint, ways.code && !ways.typed && isWaiting && finger.matches);
      show(stage, !isWaiting || ways.code || ways.inside);
      if (!ways.code) code.hidden = true;
      if (!inside.hidden && !part('number').textContent) line.setAttribute('d', BUBBLES);
      box.dataset.way = ways.inside ? 'inside' : ways.code ? (isPages() ? 'page' : 'code') : 'typed';
      // Whoever has seen the number is asked for it; others are sent back to see it.
      if (ways.inside) go.href = `${login.open}?back=${part('number').textContent ? 'seen' : 1}`;
      set(go, words(WORDS.log_in));
      set(copy, words(WORDS[copied === login.typed ? 'copied' : 'copy']));
      set(hint, words(isInside ? WORDS.hold_hint : WORDS.save));
      set(toggle, words(WORDS[toggles(ways)]));
      renderTyped(!ways.code && !!login.account_image);
    },
  };

  /** What the button below does: it shows the other way in the place of this one. */
  function toggles({ inside, code }) {
    if (inside) return 'others';
    if (isInside) return 'log_in';
    return code ? 'cannot_scan' : 'show_code';
  }

  /** The account's own picture is in the way where there is a QR code, which leads to the account, too. */
  function renderTyped(isPictured) {
    const isPhone = finger.matches;
    const names = ['step_copy', isInside ? 'step_inside' : 'step_open', 'step_back'];
    const texts = names.map((name) => words(WORDS[`${name}_`] ? named(name) : WORDS[name]));
    while (steps.children.length < texts.length) make(steps, 'step', 'li');
    texts.forEach((text, at) => set(steps.children[at], text));
    show(steps, isPhone);
    show(app, isPhone && !isInside);
    set(app, words(WORDS.open));
    show(picture, isPictured);
    picture.alt = words(named('picture'));
    const found = isPhone ? (isInside ? 'find_inside' : 'find_phone') : 'find_desk';
    set(find, isPictured ? words(WORDS[found]) : isPhone ? '' : words(named('search')));
    show(find, !!find.textContent);
  }

  /** Whoever is on a part that goes away stays in the box. */
  function show(node, isShown) {
    if (!isShown && node.contains(document.activeElement)) box.focus();
    node.hidden = !isShown;
  }

  function set(node, text) {
    if (node.textContent !== text) node.textContent = text;
  }

  /** Other ways are shown now. What is said after the wait stays as it is: the page may have put words of its own there. */
  function update() {
    ways.words = widgets();
    if (box.dataset.state === 'waiting') again();
  }

  /** Old browsers, and pages that may not use the clipboard, have the older way. */
  async function copyCode() {
    const text = login.typed;
    const isDone = await navigator.clipboard?.writeText(text).then(() => true, () => false);
    if (isDone || copySelected()) copied = text;
    if (box.dataset.state !== 'waiting') return;
    again();
    say.textContent = words(copied === text ? WORDS.copied : WORDS.select);
  }

  function copySelected() {
    getSelection().selectAllChildren(digits);
    return document.execCommand('copy');
  }

  copy.addEventListener('click', copyCode);
  toggle.addEventListener('click', () => {
    isOther = !isOther;
    update();
  });
  // A tablet that is put on its keyboard. Old browsers only ask when something else happens.
  finger.addEventListener?.('change', () => box.isConnected && update());
  return ways;
}

try {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(STYLE);
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
} catch {} // Old browsers.
