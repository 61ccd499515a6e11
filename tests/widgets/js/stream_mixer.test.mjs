import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./modules.mjs";

const mix = await load("stream_mixer.js");
const N = 50;
const C = 4;
let state = 7;
const random = () => ((state = (state * 16807) % 2147483647) / 2147483647) * 2 - 1;
const logits = [0, 1, 2].map(() => Float32Array.from({ length: N * C }, random));
const labels = Array.from({ length: N }, (_, n) => n % C);

test("the prediction is the largest weighted sum, the first of equals", () => {
  const weights = [2, 0.5, 0];
  const found = mix.predict(logits, weights, N, C);
  for (let n = 0; n < N; n++) {
    const sums = Array.from({ length: C }, (_, c) => weights.reduce((sum, w, s) => sum + w * logits[s][n * C + c], 0));
    assert.equal(found[n], sums.indexOf(Math.max(...sums)));
  }
  assert.deepEqual([...mix.predict([new Float32Array(2 * C)], [1], 2, C)], [0, 0]);
});

test("a stream of weight 0 takes no part, whatever it says", () => {
  const wild = new Float32Array(N * C).fill(-Infinity);
  assert.deepEqual(mix.predict([logits[0], wild], [1, 0], N, C), mix.predict([logits[0]], [1], N, C));
});

test("confusion counts every clip once, its diagonal are the right ones", () => {
  const found = mix.predict(logits, [1, 1, 1], N, C);
  const counts = mix.confusion(labels, found, C);
  assert.equal(counts.reduce((a, b) => a + b), N);
  assert.equal(mix.right(counts, C), labels.filter((label, n) => label === found[n]).length);
});

test("more on the diagonal is better, more beside it worse", () => {
  const now = [3, 0, 1, 4];
  const before = [2, 1, 1, 5];
  assert.deepEqual(mix.gains(now, before, 2), [1, 1, -0, -1]);
  const names = ["sit", "stand"];
  assert.equal(mix.cellWords(names, 2, 1, now, before), "sit taken for stand: 0 clips now, 1 before (−1)");
  assert.equal(mix.cellWords(names, 2, 0, now, before), "sit, told right: 3 clips now, 2 before (+1)");
});

test("floats come back from bytes at any offset, and from base64", () => {
  const values = Float32Array.from([1.5, -2.25, 1e-7]);
  const padded = new Uint8Array(15);
  padded.set(new Uint8Array(values.buffer), 3);
  assert.deepEqual(mix.floats(new DataView(padded.buffer, 3, 12)), values);
  assert.deepEqual(mix.floats(values.buffer), values);
  assert.deepEqual(mix.floats(Buffer.from(values.buffer).toString("base64")), values);
});
