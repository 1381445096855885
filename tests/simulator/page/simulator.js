// What the page asks the simulator. Everything is JSON under /phone/.

// The official account of this phone, where the simulated WeChat has several: its appid in the page's address.
const account = new URLSearchParams(location.search).get('account');

/** One question. A refusal is thrown, with the simulator's name for it as `code`. */
export async function ask(method, path, body) {
  const url = new URL(`/phone/${path}`, location.origin);
  if (account) url.searchParams.set('account', account);
  const answer = await fetch(url, {
    method,
    body: body && JSON.stringify(body),
    signal: AbortSignal.timeout(30000),
  });
  const value = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(value.message), { code: value.error });
  return value;
}
