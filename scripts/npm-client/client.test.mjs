// Moveris' own client, npm @moveris/shared, against moveris-sim: what it understands, the
// simulator says as Moveris does. Run by scripts/test-npm.sh, which sets SIM_URL and SIM_KEY.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { after, beforeEach, test } from 'node:test';
import { LivenessApiError, LivenessClient, isRetryableError } from '@moveris/shared';

const base = process.env.SIM_URL;
const key = process.env.SIM_KEY;

function client(options = {}) {
  return new LivenessClient({ baseUrl: base, apiKey: key, enableRetry: false, timeout: 5000, ...options });
}

async function control(method, path, body) {
  const answer = await fetch(base + '/_sim' + path, { method, body: body === undefined ? undefined : JSON.stringify(body) });
  const text = await answer.text();
  assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${text}`);
  return text === '' ? null : JSON.parse(text);
}

const create = (session = {}) => control('POST', '/sessions', session);
const finish = (id, outcome) => control('POST', `/sessions/${id}/finish`, { outcome });
const faults = (...list) => control('PUT', '/faults', list);

// fails asserts that a call fails with the client's own error class.
async function fails(call, status, code, message) {
  await assert.rejects(call, (err) => {
    assert.ok(err instanceof LivenessApiError, `${err}`);
    assert.equal(err.name, 'LivenessApiError');
    assert.equal(err.statusCode, status);
    assert.equal(err.code, code);
    if (message !== undefined) assert.match(err.message, message);
    return true;
  });
}

beforeEach(() => control('DELETE', '/faults'));
after(() => control('DELETE', '/faults'));

test('the package is the version that the contract was read from', () => {
  const { version } = createRequire(import.meta.url)('./node_modules/@moveris/shared/package.json');
  assert.equal(version, '4.1.1');
});

test('health', async () => {
  const health = await client().health();
  for (const field of ['status', 'version', 'environment']) assert.equal(typeof health[field], 'string', field);
});

test('health needs no key', async () => {
  const health = await client({ apiKey: 'wrong' }).health();
  assert.equal(typeof health.status, 'string');
});

test('models', async () => {
  const models = await client().getModels();
  assert.ok(Array.isArray(models) && models.length > 0);
  for (const model of models) {
    for (const field of ['id', 'label', 'description']) assert.equal(typeof model[field], 'string', field);
    assert.equal(typeof model.min_frames, 'number');
    assert.equal(typeof model.deprecated, 'boolean');
  }
  assert.ok(models.some((model) => model.id === 'mixed-10-v2'));
});

test('queue stats', async () => {
  const before = await client().queueStats();
  assert.equal(typeof before.queue_length, 'number');
  assert.equal(typeof before.queue_key, 'string');
  const session = await create();
  assert.equal((await client().queueStats()).queue_length, before.queue_length + 1);
  await finish(session.session_id, 'live');
  assert.equal((await client().queueStats()).queue_length, before.queue_length);
});

for (const verdict of ['live', 'fake', 'inconclusive']) {
  test(`job result: ${verdict}`, async () => {
    const session = await create();
    const running = await client().getJobResult(session.job_id);
    assert.ok(['queued', 'processing'].includes(running.status), running.status);
    assert.equal(running.verdict, null);
    await finish(session.session_id, verdict);
    const job = await client().getJobResult(session.job_id);
    assert.equal(job.status, 'complete');
    assert.equal(job.verdict, verdict);
    assert.equal(job.job_id, session.job_id);
    assert.equal(job.session_id, session.session_id);
    assert.equal(job.available, true);
    assert.equal(typeof job.real_score, 'number');
    assert.equal(typeof job.confidence, 'number');
    for (const field of ['created_at', 'started_at', 'completed_at']) assert.ok(!Number.isNaN(Date.parse(job[field])), field);
    assert.equal(job.error, null);
  });
}

test('job result: failed', async () => {
  const session = await create();
  await finish(session.session_id, 'failed');
  const job = await client().getJobResult(session.job_id);
  assert.equal(job.status, 'failed');
  assert.equal(job.verdict, null);
  assert.equal(typeof job.error, 'string');
});

test('job result without the envelope', async () => {
  const session = await create();
  await finish(session.session_id, 'live');
  await faults('bare');
  assert.equal((await client().getJobResult(session.job_id)).verdict, 'live');
});

test('wait: answers as soon as the job has finished', async () => {
  const session = await create();
  const started = Date.now();
  const waiting = client().waitForJobResult(session.job_id, 4);
  setTimeout(() => finish(session.session_id, 'fake'), 300);
  const job = await waiting;
  const took = Date.now() - started;
  assert.equal(job.status, 'complete');
  assert.equal(job.verdict, 'fake');
  assert.ok(took >= 250 && took < 3500, `${took} ms`);
});

test('wait: answers with the unfinished status when the time is up', async () => {
  const session = await create();
  const started = Date.now();
  const job = await client().waitForJobResult(session.job_id, 1);
  assert.ok(['queued', 'processing'].includes(job.status), job.status);
  assert.ok(Date.now() - started >= 900);
});

test('errors: a key that is not known', () => fails(client({ apiKey: 'wrong' }).queueStats(), 401, 'invalid_key'));

test('errors: a job that is not known', () => fails(client().getJobResult('nobody'), 404, 'session_not_found'));

for (const [fault, status, code, message] of [
  ['error-envelope', 422, 'validation_error', /Validation failed/],
  ['error-wrapped', 500, 'session_expired', /can't be continued/],
  ['error-code', 404, 'session_not_found'],
  ['error-retry-after', 429, 'rate_limit_exceeded'],
  ['error-detail', 404, 'server_error'],
  ['error-html', 502, 'server_error'],
  ['error-empty', 503, 'server_error'],
  ['status-402', 402, 'insufficient_credits'],
  ['key-revoked', 401, 'invalid_key'],
  ['retry-after=garbage', 429, 'rate_limited'],
  ['reset', 0, 'network_error'],
  ['api-off', 0, 'network_error'],
  ['truncated-json', 0, 'network_error'],
]) {
  test(`errors: ${fault}`, async () => {
    const session = await create();
    await finish(session.session_id, 'live');
    await faults(fault);
    await fails(client().getJobResult(session.job_id), status, code, message);
  });
}

test('errors: no answer within the time', async () => {
  await faults('hang');
  await fails(client({ timeout: 300 }).queueStats(), 408, 'timeout');
});

test('errors: which of them the client tries again', async () => {
  await faults('error-html');
  const err = await client().queueStats().catch((e) => e);
  assert.equal(typeof isRetryableError(err), 'boolean');
});
