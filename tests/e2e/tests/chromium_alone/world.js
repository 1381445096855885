// A world of the test's own around a page with the widget: its clock, its chance, its gateway, and somebody who looks at it
// or does not. It runs before the page's script; `world` is what a test does to the page, and what it sees of it.
'use strict';

(() => {
  const BEGIN = 1_800_000_000_000;
  let passed = 0; // While the machine was awake.
  let skew = 0; // What the clock on the wall says beyond that.
  let chance = 0.5;
  let isSeen = true;
  let isSilent = false;
  const sockets = [];
  const states = [];

  // The gateway's heartbeat is no timer of the page's, and so is never throttled.
  const timers = [{ every: 25_000, due: 25_000, run: beat, isOurs: true }];

  function beat() {
    if (!isSilent && newest().readyState === 1) newest().onmessage({ data: '{"message_type":"heartbeat"}' });
  }

  const wall = () => BEGIN + passed + skew;
  Date.now = wall;
  Math.random = () => chance;
  window.setInterval = (run, every) => timers.push({ run, every, due: passed + every });
  window.clearInterval = (timer) => { timers[timer - 1].run = () => {}; };
  Object.defineProperty(document, 'hidden', { get: () => !isSeen });

  window.fetch = () => Promise.reject(new TypeError('nobody answers'));
  window.WebSocket = class {
    static OPEN = 1;
    readyState = 0;
    began = wall() - BEGIN;
    sent = [];
    constructor(url, protocols) {
      this.protocols = protocols;
      this.asks = url.split('?')[0];
      this.query = new URL(url).searchParams;
      sockets.push(this);
    }
    send(text) { this.sent.push(text); }
    close() { this.readyState = 3; }
  };

  const newest = () => sockets.at(-1) || { readyState: 3, query: new URLSearchParams() };
  const part = (name) => document.querySelector(`.saoma-${name}`);
  const text = (name) => part(name).textContent;
  const isShown = (name) => !part(name).hidden;

  /** What the page shows, and what it does about it. */
  function look() {
    return {
      state: part('box').dataset.state,
      status: text('status'),
      number: text('number'),
      countdown: text('countdown'),
      detail: text('detail'),
      code: isShown('code'),
      picture: part('code').src,
      button: isShown('button') ? text('button') : '',
      holds: newest().readyState < 2, // A socket, open or opening.
      attempts: sockets.length,
      began: newest().began, // The newest attempt, in ms since the world began; and what it offers.
      offers: newest().protocols,
      asks: newest().asks,
      keeps: newest().query.get('picture'),
      query: newest().query.toString(),
      refreshes: sockets.flatMap((socket) => socket.sent).length,
    };
  }

  window.world = {
    look,
    attempts: () => sockets.length,
    holds: () => newest().readyState < 2,
    /** All states that there was time to show, in order. */
    states: () => states,
    /** Math.random() gives this from now on. */
    chance(value) { chance = value; },
    /** The gateway says something to the newest socket. */
    say(message) {
      if (newest().readyState > 1) throw new Error('the page has let go of its socket');
      if (newest().readyState === 0) newest().onopen();
      newest().readyState = 1;
      newest().onmessage({ data: JSON.stringify(message) });
      return look();
    },
    /** The newest socket closes. */
    end(code) {
      newest().readyState = 3;
      newest().onclose({ code });
      return look();
    },
    /** The newest socket has closed, and the page will be told later. */
    close() { newest().readyState = 3; },
    /** The gateway's heart stops, and nothing closes. */
    silence() { isSilent = true; },
    /** Time passes. The browser runs each of the page's timers no oftener than `atMost`. */
    pass(milliseconds, atMost = 0) {
      const until = passed + milliseconds;
      for (;;) {
        const next = timers.reduce((one, other) => (one.due <= other.due ? one : other));
        if (next.due > until) break;
        passed = next.due;
        next.due += next.isOurs ? next.every : Math.max(next.every, atMost);
        next.run();
      }
      passed = until;
      return look();
    },
    /** The machine sleeps, or somebody sets its clock: no timer moves. */
    jump(milliseconds) { skew += milliseconds; },
    /** Somebody turns to the page, or away from it. */
    see(seen) {
      isSeen = seen;
      document.dispatchEvent(new Event('visibilitychange'));
      return look();
    },
    /** What a browser tells the page's window, such as `online`. */
    tell(type, more) {
      window.dispatchEvent(Object.assign(new Event(type), more));
      return look();
    },
    /** Presses something else that has this name. */
    turn(name) {
      part(name).click();
      return look();
    },
    /** Presses the button. */
    press() {
      part('button').click();
      return look();
    },
  };

  // Called between two tasks, so that it sees what a person might see, and nothing that was replaced at once.
  new MutationObserver(() => states.push(part('box').dataset.state))
    .observe(document, { subtree: true, attributeFilter: ['data-state'] });
})();
