// A page of a site that shows widgets: one for each entry of the list in its address (in the fragment, if there is one). `told` is what they told it.
const { mount } = await import(document.querySelector('link').href);

window.told = [];
window.widgets = JSON.parse(decodeURIComponent((location.hash || location.search).slice(1))).map((options, widget) => {
  const element = options.nowhere ? null : document.body.appendChild(document.createElement('section'));
  return mount(element, {
    ...options,
    onLogin: (login) => told.push({ widget, login }),
    onState: (state, { number = '' }) => told.push({ widget, state: state + number }),
    onError: (error) => told.push({ widget, error }),
  });
});
