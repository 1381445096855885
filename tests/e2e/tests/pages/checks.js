// What must be true of every page of ours, whatever it shows and wherever. Each check gives what is wrong, in words.
window.checks = {
  /** Everything. */
  all: () => [...checks.overflow(), ...checks.small()],

  /** Nothing is wider than the screen, so nobody has to scroll sideways. */
  overflow() {
    const { scrollWidth, clientWidth } = document.documentElement;
    if (scrollWidth <= clientWidth && clientWidth <= screen.width) return [];
    const wide = [...document.body.querySelectorAll('*')].filter((it) => it.getBoundingClientRect().right > screen.width);
    const names = wide.map((it) => it.id || it.className?.baseVal || it.className || it.tagName);
    return [`the page is ${Math.max(scrollWidth, clientWidth)} pixels wide, on ${screen.width}, by ${names.join(', ')}`];
  },

  /** A code that is shown can be scanned: 220 pixels at least, and as high as it is wide. */
  small: () => checks.codes().flatMap(({ width, height }) =>
    (width >= 220 && Math.abs(width - height) < 1 ? [] : [`the code has ${width} by ${height} pixels`])),

  /** Where codes are. */
  codes: () => checks.rectangles('.saoma-code'),

  /** What is another one each time: the codes of the simulated phone. */
  hidden: () => checks.rectangles('.picture'),

  rectangles: (selector) => [...document.querySelectorAll(selector)].filter((it) => it.checkVisibility())
    .map((it) => it.getBoundingClientRect().toJSON()),
}
