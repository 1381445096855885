// Carries the code of a login from the page to the issuer, which knows the request and sends the person on to the site.
'use strict';

document.addEventListener('saoma:login', ({ detail }) => {
  const form = document.getElementById('continue');
  form.elements.code.value = detail.code;
  form.submit();
});
