// The page's own texts, and which language they are in. The account's replies are shown unchanged.

const WORDS = {
  zh: {
    other: "English",
    title: "微信模拟器",
    title_of: "{name} · 微信模拟器",
    another: "再开一部手机",
    who: "我是谁",
    speaks: "微信的语言",
    invent: "新建一个人",
    nickname: "昵称（可不填）",
    already_follows: "已关注公众号",
    add: "新建",
    this_code: "打开的二维码",
    this_code_used: "这个二维码已经扫过了",
    camera: "扫一扫：镜头前的二维码",
    scan_verb: "扫描",
    scan_this: "扫描二维码 {scene}（{age}）",
    scan_as: "以“{name}”的身份扫描",
    picture_of: "二维码 {scene}",
    no_codes: "还没有可扫的二维码。网页显示二维码后，它会出现在这里。",
    used: "已扫过的（{n}）",
    scanned_by: "{name} 已扫",
    text_of_code: "二维码的内容",
    paste: "或粘贴二维码的内容",
    link: "网址",
    paste_link: "或输入网址",
    open_in_wechat: "用微信打开",
    close: "关闭",
    failed_page: "打不开：{why}",
    picture: "从图片识别",
    no_code_in_picture: "图片里没有找到二维码",
    ago_now: "刚刚出现",
    ago_s: "{n} 秒前",
    ago_min: "{n} 分钟前",
    left_s: "还有 {n} 秒过期",
    left_min: "还有 {n} 分钟过期",
    forever: "永久有效",
    account: "公众号",
    typing: "对方正在输入…",
    account_says: "公众号说：",
    me_says: "我说：",
    you_scanned: "你扫描了二维码 {scene}",
    follower: "已关注",
    not_follower: "未关注，扫码后会关注",
    follow: "关注",
    unfollow: "取消关注",
    message: "消息",
    write: "网页上的数字，或别的话",
    write_not: "关注后才能发消息",
    send: "发送",
    quick: "或者",
    quick_deny: "0：不是我",
    quick_mistype: "输错数字",
    quick_nothing: "什么都不做",
    did_mistype: "随手输入了 {n}。手机不知道网页上的数字，所以有九十分之一的可能恰好猜中。",
    did_nothing: "你什么都没做。等登录过期，网页会说。",
    empty: "扫一个二维码，公众号的回复会显示在这里。",
    sending: "正在推送…",
    done: "已推送（{n} 毫秒）",
    done_after: "推送了 {tries} 次才成功",
    failed: "推送失败：{why}",
    nobody: "没有这个人",
    unknown_code: "这不是本模拟器的二维码",
    expired_code: "二维码已过期",
    not_following: "尚未关注公众号",
    following: "已经关注了",
    offline: "模拟器没有回应",
  },
  en: {
    other: "中文",
    title: "WeChat simulator",
    title_of: "{name} · WeChat simulator",
    another: "Another phone",
    who: "Who I am",
    speaks: "WeChat’s language",
    invent: "Invent a person",
    nickname: "Nickname (may stay empty)",
    already_follows: "follows the account already",
    add: "Add",
    this_code: "The code you opened",
    this_code_used: "This code has been scanned already",
    camera: "The camera’s view",
    scan_verb: "Scan",
    scan_this: "Scan the code {scene} ({age})",
    scan_as: "Scan as {name}",
    picture_of: "QR code {scene}",
    no_codes: "No codes to scan yet. They appear here when a web page shows them.",
    used: "Scanned already ({n})",
    scanned_by: "scanned by {name}",
    text_of_code: "The QR code’s text",
    paste: "or paste a code’s text",
    link: "Address",
    paste_link: "or an address",
    open_in_wechat: "Open in WeChat",
    close: "Close",
    failed_page: "It cannot be opened: {why}",
    picture: "Read a picture",
    no_code_in_picture: "There is no QR code in the picture",
    ago_now: "just now",
    ago_s: "{n} s ago",
    ago_min: "{n} min ago",
    left_s: "expires in {n} s",
    left_min: "expires in {n} min",
    forever: "never expires",
    account: "Official account",
    typing: "is typing…",
    account_says: "The account says: ",
    me_says: "I say: ",
    you_scanned: "You scanned the code {scene}",
    follower: "Follows the account",
    not_follower: "Not a follower; a scan includes pressing Follow",
    follow: "Follow",
    unfollow: "Unfollow",
    message: "Message",
    write: "The digits, or any text",
    write_not: "Only followers can write",
    send: "Send",
    quick: "Or",
    quick_deny: "0: not me",
    quick_mistype: "Mistype",
    quick_nothing: "Do nothing",
    did_mistype: "Typed {n} at random. The phone does not know the page’s digits: it is right once in ninety times.",
    did_nothing: "You did nothing. When the login expires, the page says so.",
    empty: "Scan a code; what the account replies shows up here.",
    sending: "Pushing…",
    done: "Pushed ({n} ms)",
    done_after: "Pushed at try {tries}",
    failed: "The push failed: {why}",
    nobody: "There is no such person",
    unknown_code: "Not a code of this simulator",
    expired_code: "The code has expired",
    not_following: "Does not follow the account",
    following: "Follows the account already",
    offline: "The simulator does not answer",
  },
};

let language = "zh";

export const $ = (id) => document.getElementById(id);

/** The name of the language in HTML, and for times. */
export const locale = () => (language === "zh" ? "zh-CN" : "en");

/** What WeChat calls the language, for a person that is new. */
export const wechats = () => (language === "zh" ? "zh_CN" : "en");

/** Words by their key; a key that there is not gives nothing. */
export function say(key, values = {}) {
  return WORDS[language][key]?.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

export function otherLanguage() {
  return language === "zh" ? "en" : "zh";
}

/** Speaks this language from now on, here and when the page is opened again. */
export function speak(wanted) {
  language = wanted;
  document.documentElement.lang = locale();
  localStorage.setItem("language", language);
  for (const element of document.querySelectorAll("[data-words]")) {
    element.textContent = say(element.dataset.words);
  }
  $("language").textContent = say("other");
  $("language").lang = otherLanguage();
  $("text").placeholder = say("paste");
  $("link").placeholder = say("paste_link");
  $("chat").dataset.empty = say("empty");
}

/** The language that was asked for, or used here last, or that the browser prefers. */
export function chooseLanguage() {
  const asked = new URLSearchParams(location.search).get("lang") ?? localStorage.getItem("language");
  return asked in WORDS ? asked : navigator.language.startsWith("zh") ? "zh" : "en";
}
