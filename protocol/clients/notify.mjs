#!/usr/bin/env node
// Sends one notice to Saoma's gateway and brings its answer back: see ../PROTOCOL.md. Node.js 18 or later, nothing else.
//
// In a program, copy this file and call notify():
//
//     import { notify } from './notify.mjs';
//     const answer = await notify('127.0.0.1:9999', 'shop', key, { type: 'scan', id: '1', scene });
//
// On a command line, with the key in the environment, where others on the machine cannot read it:
//
//     NOTIFY_KEY=... node notify.mjs HOST:PORT CLIENT 'NOTICE AS JSON' [CA.pem [CERT.pem KEY.pem]]
//
// With CA.pem it speaks TLS: that authority must have signed the gateway's certificate for HOST. CERT.pem and KEY.pem are
// the client's own. It prints the answer. Exit code 0: ok, delivered, stored or a pong; 1: any other status; 2: no answer,
// with the reason on one line. The notice may have been recorded all the same: sending the same again is safe.

import { createHmac } from 'node:crypto';
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { connect } from 'node:net';
import { connect as connectWithTls } from 'node:tls';
import { fileURLToPath } from 'node:url';

const WAIT = 5_000; // Milliseconds for everything: connecting, authentication and the answer.
const MAX_FRAME = 65_536; // Bytes.

function frame(message) {
  const body = Buffer.from(JSON.stringify(message));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(body.length);
  return Buffer.concat([length, body]);
}

function parse(text) {
  try {
    const message = JSON.parse(text);
    if (message !== null && typeof message === 'object' && !Array.isArray(message)) return message;
  } catch { /* As below. */ }
  throw new Error('what should be one JSON object is none');
}

/** The gateway's messages, each one whole, however the network has cut them. */
async function* messages(socket) {
  let data = Buffer.alloc(0);
  for await (const part of socket) {
    data = Buffer.concat([data, part]);
    while (data.length >= 4) {
      const end = 4 + data.readUInt32BE();
      if (end < 4 + 1 || end > 4 + MAX_FRAME) {
        throw new Error(`a frame of ${end - 4} bytes: is this the gateway's internal port?`);
      }
      if (data.length < end) break;
      const message = parse(data.toString('utf8', 4, end));
      data = data.subarray(end);
      if (message.type === 'error') throw new Error(`the gateway refused: ${JSON.stringify(message)}`);
      yield message;
    }
  }
  throw new Error('the gateway closed the connection');
}

/** Resolves to the answer, or to the pong to a ping. `tls` has the options `ca`, `cert` and `key` of tls.connect(). */
export async function notify(address, client, key, notice, tls) {
  const [, host, port] = /^\[?(.*?)\]?:(\d+)$/.exec(address) ?? [];
  const socket = tls ? connectWithTls({ ...tls, host, port }) : connect({ host, port });
  const timer = setTimeout(() => socket.destroy(new Error(`no answer within ${WAIT / 1000} s`)), WAIT);
  try {
    const incoming = messages(socket);
    const { value: hello } = await incoming.next();
    if (hello.type !== 'hello' || hello.version !== 1 || typeof hello.challenge !== 'string') {
      throw new Error(`no hello of version 1: ${JSON.stringify(hello)}`);
    }
    // The key is the bytes of its text, without the line break of a file.
    const proof = createHmac('sha256', key.replace(/[\r\n]+$/, '')).update(hello.challenge).digest('hex');
    socket.write(Buffer.concat([frame({ type: 'auth', client, proof }), frame(notice)]));
    const wanted = notice.type === 'ping' ? 'pong' : 'answer';
    for await (const message of incoming) {
      if (message.type === wanted) return message; // Other messages are news, or of a later version.
    }
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }
}

// From here on: the command line.

async function main(words) {
  const [address, client, notice, ca, cert, key] = words;
  if (![3, 4, 6].includes(words.length) || !process.env.NOTIFY_KEY) {
    throw new Error("usage: NOTIFY_KEY=... notify.mjs HOST:PORT CLIENT 'NOTICE AS JSON' [CA.pem [CERT.pem KEY.pem]]");
  }
  const tls = ca && { ca: readFileSync(ca), ...(cert && { cert: readFileSync(cert), key: readFileSync(key) }) };
  const answer = await notify(address, client, process.env.NOTIFY_KEY, parse(notice), tls);
  console.log(JSON.stringify(answer));
  process.exitCode = ['ok', 'delivered', 'stored'].includes(answer.status ?? 'ok') ? 0 : 1;
}

const started = process.argv[1] ?? '';
if (existsSync(started) && realpathSync(started) === fileURLToPath(import.meta.url)) {
  main(process.argv.slice(2)).catch((error) => {
    console.error(`notify: ${error.message.replace(/\s+/g, ' ').trim()}`);
    process.exitCode = 2;
  });
}
