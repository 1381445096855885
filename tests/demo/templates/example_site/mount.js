// The page's own script: it mounts the widget, shows its states, and brings the code to the site's back end.

const place = document.getElementById('place');
const { gateway, id, nonce, lang, broken } = place.dataset;
const tell = (text) => { document.getElementById('state').textContent = text; };

try {
  const { mount } = await import(`${gateway}/widget.v1.js`);
  mount(place, {
    site: id,
    nonce,
    lang,
    onLogin: ({ code, verifier }) => {
      const form = document.getElementById('bring');
      form.elements.code.value = code;
      form.elements.verifier.value = verifier;
      form.submit();
    },
    onState: tell,
    onError: ({ code, message }) => tell(`${code}: ${message}`),
  });
} catch (error) {
  place.textContent = broken;
  tell(error.message);
}
