// The official Node client, unmodified, through the whole life of a fine-tuned model.
//   node node_client.mjs BASE_URL KEY        run by `python -m benchmarks.node_client`
import assert from "node:assert/strict";
import OpenAI, { toFile } from "openai";

const [baseURL, apiKey] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const jobs = client.fineTuning.jobs;
const rows = (count) =>
  Array.from({ length: count }, (_, n) =>
    JSON.stringify({
      messages: [
        { role: "user", content: `What is ${n} and ${n}?` },
        { role: "assistant", content: `${2 * n}` },
      ],
    }),
  ).join("\n") + "\n";
const collect = async (list) => {
  const found = [];
  for await (const each of list) found.push(each);
  return found;
};
const refused = (promise, kind) => assert.rejects(promise, kind);

async function finished(id) {
  const ends = ["succeeded", "failed", "cancelled"];
  let job = await jobs.retrieve(id);
  while (!ends.includes(job.status)) {
    await new Promise((wake) => setTimeout(wake, 500));
    job = await jobs.retrieve(id);
  }
  return job;
}

async function upload(text, name = "rows.jsonl") {
  const file = await client.files.create({
    file: await toFile(Buffer.from(text), name),
    purpose: "fine-tune",
  });
  assert.equal((await client.files.waitForProcessing(file.id)).status, "processed");
  return file;
}

async function inParts(text) {
  const whole = Buffer.from(text);
  const { id } = await client.uploads.create({
    bytes: whole.length,
    filename: "parts.jsonl",
    mime_type: "application/jsonl",
    purpose: "fine-tune",
  });
  const parts = [];
  for (const piece of [whole.subarray(0, 50), whole.subarray(50)])
    parts.push(await client.uploads.parts.create(id, { data: await toFile(piece, "blob") }));
  const done = await client.uploads.complete(id, { part_ids: parts.map((part) => part.id) });
  assert.equal(await (await client.files.content(done.file.id)).text(), text);
  await client.files.delete(done.file.id);
}

// Requests that are refused, and jobs that are steered.
const file = await upload(rows(24));
await inParts(rows(3));
await refused(client.files.retrieve("file-none"), OpenAI.NotFoundError);
await refused(
  jobs.create({ model: "no-such-base", training_file: file.id }),
  OpenAI.NotFoundError,
);
await refused(
  jobs.create({
    model: "anvil",
    training_file: file.id,
    method: { type: "supervised", supervised: { hyperparameters: { n_epochs: 51 } } },
  }),
  OpenAI.BadRequestError,
);
await refused(new OpenAI({ baseURL, apiKey: "none", maxRetries: 0 }).models.list(),
  OpenAI.AuthenticationError);
const waiting = await jobs.create({
  model: "anvil",
  training_file: file.id,
  method: { type: "dpo", dpo: { hyperparameters: { beta: "auto", n_epochs: 1 } } },
  metadata: { run: "steered" },
});
assert.equal((await jobs.pause(waiting.id)).status, "paused");
assert.equal((await jobs.resume(waiting.id)).status, "queued");
assert.equal((await jobs.cancel(waiting.id)).status, "cancelled");
await refused(jobs.cancel(waiting.id), OpenAI.ConflictError);

// A bad line.
const bad = await upload(rows(24) + '{"messages": [}\n', "bad.jsonl");
const failed = await finished((await jobs.create({ model: "anvil", training_file: bad.id })).id);
assert.equal(failed.status, "failed");
assert.match(failed.error.message, /25/);

// A model, from its data to its deletion.
const made = await jobs.create({
  model: "anvil",
  training_file: file.id,
  hyperparameters: { n_epochs: 1 },
  suffix: "node",
  seed: 7,
  metadata: { run: "whole" },
});
const job = await finished(made.id);
assert.equal(job.status, "succeeded", JSON.stringify(job.error));
assert.equal(job.hyperparameters.n_epochs, 1);
assert.equal(typeof job.hyperparameters.batch_size, "number");
const listed = await collect(jobs.list({ limit: 1 }));
assert.equal(new Set(listed.map((each) => each.id)).size, 3);
const labelled = await collect(jobs.list({ metadata: { run: "whole" } }));
assert.deepEqual(labelled.map((each) => each.id), [job.id]);
const events = await collect(jobs.listEvents(job.id, { limit: 2 }));
assert.equal(new Set(events.map((event) => event.id)).size, events.length);
const [checkpoint] = await collect(jobs.checkpoints.list(job.id));
const table = await (await client.files.content(job.result_files[0])).text();
assert.match(table, /^step,train_loss/);
for (const model of [job.fine_tuned_model, checkpoint.fine_tuned_model_checkpoint]) {
  assert.equal((await client.models.retrieve(model)).id, model);
  const question = { model, max_tokens: 4, messages: [{ role: "user", content: "Hello?" }] };
  const answer = await client.chat.completions.create(question);
  assert.equal(typeof answer.choices[0].message.content, "string");
  const pieces = await collect(await client.chat.completions.create({ ...question, stream: true }));
  assert.ok(pieces.length > 1);
}
assert.ok((await client.models.delete(job.fine_tuned_model)).deleted);
await refused(client.models.delete(job.fine_tuned_model), OpenAI.NotFoundError);
assert.ok((await client.files.delete(file.id)).deleted);
await refused(client.files.delete(file.id), OpenAI.NotFoundError);
console.log(`${events.length} events, ${table.split("\n").length - 2} steps: all as expected`);
