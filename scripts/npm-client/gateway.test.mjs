// Moveris' own client, npm @moveris/shared, through the recording gateway: its answers are
// the same as without, to the byte, and the daemon knows every session and verdict. Run by
// scripts/test-gateway.sh, which sets SIM_URL, SIM_KEY, GATEWAY_URL, SOCKET and DAEMON_PID.
import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import http from 'node:http';
import { beforeEach, test } from 'node:test';
import { LivenessApiError, LivenessClient } from '@moveris/shared';

const { SIM_URL: sim, SIM_KEY: key, GATEWAY_URL: gateway, SOCKET: socket, DAEMON_PID: daemon } = process.env;
const model = 'mixed-30-v3_1_1';

// The client asks ipinfo.io about the machine before its first call. Nothing outside is
// contacted by a test, and it copes with a failure.
const realFetch = globalThis.fetch;
globalThis.fetch = (url, options) =>
  String(url).startsWith('http://127.0.0.1') ? realFetch(url, options) : Promise.reject(new Error('not in a test'));

// client makes a client that also keeps the status, the headers and the bytes of its answers.
function client(baseUrl, options = {}) {
  const answers = [];
  const customFetch = async (url, init) => {
    const answer = await realFetch(url, init);
    const bytes = Buffer.from(await answer.clone().arrayBuffer());
    const headers = Object.fromEntries([...answer.headers].filter(([name]) => !['date', 'connection', 'keep-alive'].includes(name)));
    answers.push({ status: answer.status, headers, body: bytes.toString('latin1') });
    return answer;
  };
  return { answers, api: new LivenessClient({ baseUrl, apiKey: key, enableRetry: false, timeout: 10000, customFetch, ...options }) };
}

const frames = (n, size = 200 << 10) =>
  Array.from({ length: n }, (_, index) => ({ index, timestampMs: index * 33, pixels: randomBytes((size * 3) / 4).toString('base64') }));

async function control(method, path, body) {
  const answer = await realFetch(sim + '/_sim' + path, { method, body: body && JSON.stringify(body) });
  assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${await answer.text()}`);
}

// session reads a session of the daemon; null if it is not known.
const session = (id) =>
  new Promise((done, failed) => {
    http.get({ socketPath: socket, path: `/v1/sessions/${encodeURIComponent(id)}` }, (answer) => {
      let text = '';
      answer.on('data', (piece) => (text += piece));
      answer.on('end', () => done(answer.statusCode === 200 ? JSON.parse(text) : null));
    }).on('error', failed);
  });

async function eventually(what, ok) {
  for (let i = 0; i < 200; i++) {
    const value = await ok();
    if (value) return value;
    await new Promise((next) => setTimeout(next, 25));
  }
  assert.fail(`never: ${what}`);
}

// same makes a call directly and through the gateway and holds the answers together; it
// returns what the second one came to.
async function same(call, options) {
  const direct = client(sim, options);
  const through = client(gateway, options);
  const settle = (promise) => promise.then((result) => ({ result }), (error) => ({ error }));
  const first = await settle(call(direct.api));
  const second = await settle(call(through.api));
  const sorted = (list) => list.map((a) => JSON.stringify(a)).sort();
  assert.deepEqual(sorted(through.answers), sorted(direct.answers));
  assert.deepEqual(second.result, first.result);
  assert.equal(second.error?.code, first.error?.code);
  assert.equal(second.error?.statusCode, first.error?.statusCode);
  assert.equal(second.error?.message, first.error?.message);
  return second;
}

beforeEach(async () => {
  await control('DELETE', '/faults');
  await control('PUT', '/check', { outcome: 'live' });
});

for (const outcome of ['live', 'fake', 'inconclusive']) {
  test(`fastCheck, ${outcome}`, async () => {
    await control('PUT', '/check', { outcome });
    const id = randomUUID();
    const list = frames(30);
    const { result } = await same((api) => api.fastCheck(list, { sessionId: id, model }));
    assert.equal(result.verdict, outcome);
    const s = await eventually('the verdict is there', async () => {
      const s = await session(id);
      return s?.state === 'settled' && s.expected_at && s;
    });
    assert.deepEqual([s.outcome, s.first_by, s.model, s.score], [outcome, 'submitted', model, result.score]);
    assert.equal(s.observations.length, 1);
  });
}

test('fastCheckStream', async () => {
  // Whose frame comes last is chance: the answers of two streams are compared one by one,
  // with frames sent in order.
  const id = randomUUID();
  const list = frames(30, 20 << 10);
  const { result } = await same((api) => api.fastCheckStreamSequential(list, { sessionId: id, model }));
  assert.equal(result.verdict, 'live');
  await eventually('its verdict is there', async () => (await session(id))?.outcome === 'live');

  const parallel = randomUUID();
  const answer = await client(gateway).api.fastCheckStream(frames(30), { sessionId: parallel, model });
  assert.equal(answer.verdict, 'live');
  const s = await eventually('the verdict of the parallel one is there', async () => {
    const s = await session(parallel);
    return s?.state === 'settled' && s;
  });
  assert.equal(s.observations.length, 1);
});

test('a stream that is broken off is expected', async () => {
  const id = randomUUID();
  const { error } = await same((api) => api.fastCheckStream(frames(1, 1000), { sessionId: id, model }));
  assert.equal(error.code, 'stream_incomplete');
  const s = await eventually('it is expected', () => session(id));
  assert.equal(s.state, 'awaiting');
});

test('a check that ends without a verdict is expected and nothing more', async () => {
  await control('PUT', '/check', { outcome: 'null' });
  const id = randomUUID();
  const list = frames(30, 1000);
  const { result } = await same((api) => api.fastCheck(list, { sessionId: id, model }));
  assert.equal(result.verdict, 'inconclusive'); // the client's own word for a null
  const s = await eventually('it is expected', () => session(id));
  assert.deepEqual([s.state, s.outcome, s.observations.length], ['awaiting', null, 0]);
});

for (const [fault, expected] of [
  ['status-500', true], ['status-503', true], ['error-html', true], ['error-empty', true], ['error-wrapped', true],
  ['status-401', false], ['status-402', false], ['error-retry-after', false], ['error-envelope', false], ['error-detail', false],
]) {
  test(`error: ${fault}`, async () => {
    await control('PUT', '/faults', [fault]);
    const id = randomUUID();
    const { error } = await same((api) => api.fastCheck(frames(30, 1000), { sessionId: id, model }));
    assert.ok(error instanceof LivenessApiError);
    if (expected) await eventually('it is expected', async () => (await session(id))?.state === 'awaiting');
    else {
      await new Promise((next) => setTimeout(next, 100));
      assert.equal(await session(id), null);
    }
  });
}

test('error: too few frames', async () => {
  const id = randomUUID();
  const { error } = await same((api) => api.fastCheck(frames(3, 1000), { sessionId: id, model }));
  assert.equal(error.code, 'insufficient_frames');
  assert.equal(await session(id), null);
});

test('error: no answer', async () => {
  await control('PUT', '/faults', ['reset']);
  const id = randomUUID();
  await assert.rejects(client(gateway).api.fastCheck(frames(30, 1000), { sessionId: id, model }), (e) => e instanceof LivenessApiError && e.statusCode === 502);
  await eventually('it is expected', async () => (await session(id))?.state === 'awaiting');
});

test('an unknown key passes and is not recorded', async () => {
  const id = randomUUID();
  const { error } = await same((api) => api.fastCheck(frames(30, 1000), { sessionId: id, model }), { apiKey: 'sk-of-nobody' });
  assert.equal(error.code, 'invalid_key');
  assert.equal(await session(id), null);
});

test('health, models and results pass', async () => {
  await same((api) => api.health());
  await same((api) => api.getModels());
  await same((api) => api.getJobResult('unknown'));
});

// The last test: from here on there is no daemon.
test('without the daemon nothing changes', async () => {
  process.kill(Number(daemon), 'SIGSTOP');
  const list = frames(30);
  const [hung, dead] = [randomUUID(), randomUUID()];
  try {
    await same((api) => api.fastCheck(list, { sessionId: hung, model }));
  } finally {
    process.kill(Number(daemon), 'SIGCONT');
  }
  await eventually('what a hung daemon was not told it is told later', async () => (await session(hung))?.outcome === 'live');
  process.kill(Number(daemon), 'SIGKILL');
  await same((api) => api.fastCheck(list, { sessionId: dead, model }));
});
