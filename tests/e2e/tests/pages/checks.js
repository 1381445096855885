// What must be true of every page of ours, whatever it shows and wherever. Each check gives what is wrong, in words.
window.checks = {
  /** Everything, on a screen of this width. */
  all: (width) => [...checks.overflow(width), ...checks.small(), ...checks.motion()],

  /** Nothing is wider than the screen, so nobody has to scroll sideways (WCAG 1.4.10). */
  overflow(width) {
    const { scrollWidth } = document.documentElement;
    if (scrollWidth <= width && innerWidth <= width) return [];
    const wide = [...document.body.querySelectorAll('*')].filter((it) => it.getBoundingClientRect().right > width);
    const names = wide.map((it) => it.id || it.className?.baseVal || it.className || it.tagName);
    return [`the page is ${Math.max(scrollWidth, innerWidth)} pixels wide, on ${width}, by ${names.join(', ')}`];
  },

  /** A code that is shown can be scanned: 220 pixels at least, and as high as it is wide. */
  small: () => checks.codes().flatMap(({ width, height }) =>
    (width >= 220 && Math.abs(width - height) < 1 ? [] : [`the code has ${width} by ${height} pixels`])),

  /** Nothing moves, as the person has asked for that. */
  motion: () => document.getAnimations().filter(({ playState }) => playState === 'running')
    .map(({ effect, animationName }) => `${animationName} moves ${effect.target.className?.baseVal || effect.target.id}`),

  /** Where codes are. */
  codes: () => checks.rectangles('.saoma-code'),

  /** Whose place counts in a picture, and not what is inside: codes, and digits so large that each font's look different. */
  hidden: () => checks.rectangles('.saoma-code, .saoma-number, .numbers, .picture'),

  rectangles: (selector) => [...document.querySelectorAll(selector)]
    .filter((it) => it.checkVisibility({ opacityProperty: true, visibilityProperty: true }))
    .map((it) => it.getBoundingClientRect().toJSON()),
};
