// The login page of the gateway, and of the issuer's /authorize. The widget does the login; this puts it on the page,
// names the site, and changes the language in place.
//
// A page that wants the outcome listens for `saoma:login` on its document. The issuer's page does (authorize.js): its
// body says where the gateway is, for which request the login is, and the name of the site.
import { languageOf, mount } from './widget.v1.js';

const WORDS = {
  'zh-CN': {
    title: (site) => `登录 ${site}`,
    back: (site) => `返回 ${site}`,
    returning: (site) => `登录成功，正在返回 ${site}…`,
    inWeChat: '长按上面的二维码，再选“识别图中的二维码”。',
    onPhone: '正在用手机？建议在电脑上打开本页；也可以保存二维码图片，再用微信“扫一扫”从相册选取。',
    other: 'English',
  },
  en: {
    title: (site) => `Log in to ${site}`,
    back: (site) => `Back to ${site}`,
    returning: (site) => `You are logged in, returning to ${site}…`,
    inWeChat: 'Press and hold the QR code above, then choose to scan it.',
    onPhone: 'On your phone? Best open this page on a computer; or save the picture and choose it from the album in WeChat’s Scan.',
    other: '中文',
  },
};

const { body, documentElement } = document;
const element = (id) => document.getElementById(id);

// What the issuer's page says of its login; the gateway's own page says nothing, and its URL does.
const { gateway, request, account, site, lang } = body.dataset;
const asked = new URLSearchParams(location.search);
const inWeChat = /MicroMessenger/i.test(navigator.userAgent);
let language = languageOf([...asked.getAll('lang'), lang, ...navigator.languages]);

/**
 * What the gateway is asked for. In the query of the issuer's page everything is for the issuer, such as its nonce, and
 * only the request and its official account are told.
 */
function query() {
  const tells = new URLSearchParams();
  const told = request ? new URLSearchParams({ request, account: account ?? '' }) : asked;
  for (const name of ['site', 'nonce', 'code_challenge', 'request', 'account']) {
    if (told.get(name)) tells.set(name, told.get(name));
  }
  return `${tells}`;
}

const otherLanguage = () => (language === 'en' ? 'zh-CN' : 'en');

function render() {
  const words = WORDS[language];
  documentElement.lang = language;
  if (site) {
    document.title = element('title').textContent = words.title(site);
    element('back').textContent = words.back(site);
  }
  element('hint').textContent = inWeChat ? words.inWeChat : words.onPhone;
  const here = new URLSearchParams(location.search);
  here.set('lang', otherLanguage());
  const link = element('language');
  link.href = `?${here}`;
  link.lang = otherLanguage();
  link.textContent = words.other;
  link.hidden = false;
}

element('unsupported').remove();
render();

const widget = mount(element('login'), {
  query: query(),
  gateway: gateway && `${gateway}/`,
  lang: language,
  onError() {}, // The page says it.
  onState(state) {
    body.dataset.state = state;
  },
  onLogin({ code, user }) {
    if (!code) return;
    if (site) document.querySelector('.saoma-status').textContent = WORDS[language].returning(site);
    document.dispatchEvent(new CustomEvent('saoma:login', { detail: { code, user } }));
  },
});

// The login goes on in the other language, and a reload remembers the choice.
element('language').addEventListener('click', (event) => {
  event.preventDefault();
  history.replaceState(null, '', element('language').href);
  language = otherLanguage();
  render();
  widget.setLang(language);
});
