// Types of widget.v1.js, with which a page shows a code and somebody logs in with it by WeChat.
//
// TypeScript does not fetch modules. Keep this file in your sources, and say in tsconfig.json where it is:
//
//     "compilerOptions": { "paths": { "https://login.example.com/widget.v1.js*": ["./saoma/widget.v1.d.ts"] } }

/** How the login stands. */
export type State =
  /** A code is being fetched, or the connection is being mended. */
  | 'connecting'
  /** A code is shown, and nobody has scanned or sent it yet. */
  | 'waiting'
  /** Somebody has scanned, or has sent the code. With a `number` they are asked for it in the chat. */
  | 'scanned'
  /** The login is granted; `onLogin` is called. */
  | 'granted'
  /** The person said no, or gave wrong numbers. A button begins anew. */
  | 'denied'
  /** The code is over, and nobody was there to see a new one. A button begins anew. */
  | 'expired'
  /** The gateway cannot be reached. The widget goes on trying. */
  | 'offline'
  /** The gateway is there and has no code just now. The widget waits as it was told. */
  | 'busy'
  /** Nothing more happens by itself: something is wrong, or the login went to another window. */
  | 'stopped';

/** A login that was granted. Your page gives `code` and `verifier` to your back end, which redeems them in 240 s. */
export interface Login {
  /** For `/token` of the issuer. `''` for a login without a site. */
  code: string;
  /** The PKCE verifier that goes with it as `code_verifier`. `''` for a login without a site. */
  verifier: string;
  /** The name that the person has shown, or `''`. It is text from outside, and says nothing of who it is. */
  user: string;
}

/** What there is to know beside the state. */
export interface Detail {
  /** The two digits that the chat asks for, while it does. */
  number?: string;
  /**
   * In ms since 1970: when the code is over (`waiting`, `scanned`), or when the next try is made (`offline`, `busy`).
   * 0 or nothing where that is unknown.
   */
  until?: number;
  /** The gateway's own words, or what is wrong. */
  detail?: string;
}

/** What keeps the widget from working. The same is said in it, in the person's words. */
export interface Trouble {
  code:
    /** `mount` was given no element. */
    | 'no_element'
    /** There is no `site`. */
    | 'no_site'
    /** There is no `nonce`. It comes from your back end, which compares it with the ID token's. */
    | 'no_nonce'
    /** The page did not come by https, so the browser has no `crypto.subtle`. */
    | 'insecure_context'
    /** The browser keeps nothing for this page, such as `sessionStorage`. A reload then takes a new code. */
    | 'no_storage'
    /**
     * The gateway or the browser refused the connection, mostly because of the page's origin; or the browser could not load
     * `ways.v1.js`, without which this login has nothing to show. `message` says why.
     */
    | 'refused';
  /** For developers, in English. */
  message: string;
}

/** What the widget is told. */
export interface Options {
  /** The site's id at the issuer. */
  site?: string;
  /** A random text of this person's session with your back end, new for every login. */
  nonce?: string;
  /** Which official account, by its name at the gateway. Default: the only one, or the first. */
  account?: string;
  /** Where the gateway is, such as `https://login.example.com/`, with a slash. Default: where the module came from. */
  gateway?: string;
  /** `zh`, `en`, or longer (`zh-CN`). Default: the language of the page, then those of the browser. */
  lang?: string;
  /** Somebody has logged in. */
  onLogin?(login: Login): void;
  /** The state is another one, or the same with another detail, such as a number or time. */
  onState?(state: State, detail: Detail): void;
  /** Something is wrong that a developer can mend. Default: it is written to the console. */
  onError?(trouble: Trouble): void;
  /** @internal For Saoma's own pages: the query of the socket, as it stands. No verifier is made then. */
  query?: string;
}

/** A widget on the page. */
export interface Widget {
  /** Ends the connection and empties the element. */
  destroy(): void;
  /** Changes the language in place; the login goes on. */
  setLang(lang: string): void;
}

/**
 * Shows a code in an element, and goes on until somebody has logged in or the widget is destroyed. Several may be on
 * one page.
 *
 * Elements with `data-saoma-site`, `data-nonce` and `data-login-uri` need no call: the module mounts them as it loads.
 */
export function mount(element: Element, options: Options): Widget;

/** The first of these languages that there are words in, such as `navigator.languages`. */
export function languageOf(wishes: Array<string | null | undefined>): 'zh-CN' | 'en';
