// What the page asks the simulator. Everything is JSON under /phone/.

/** One question. A refusal is thrown, with the simulator's name for it as `code`. */
export async function ask(method, path, body) {
  const answer = await fetch(`/phone/${path}`, {
    method,
    body: body && JSON.stringify(body),
    signal: AbortSignal.timeout(30000),
  });
  const value = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(value.message), { code: value.error });
  return value;
}
