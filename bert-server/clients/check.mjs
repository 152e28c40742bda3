// Asks a running server by the client of Hugging Face for JavaScript, and checks what it reads.
//
//     bert serve --port 8080 &
//     npm install --no-save @huggingface/inference
//     node bert-server/clients/check.mjs http://127.0.0.1:8080
//
// Takes the built-in models.

import assert from "node:assert/strict";
import { InferenceClient } from "@huggingface/inference";

const [url = "http://127.0.0.1:8080"] = process.argv.slice(2);
const at = path => new InferenceClient("", { endpointUrl: url + path });

const filled = await at("/models/english-mlm").fillMask({ inputs: "The capital of France is [MASK]." });
assert(filled.length === 5 && filled[0].score >= filled[1].score && filled[0].token_str, JSON.stringify(filled));

const labels = await at("/models/english-sentiment").textClassification({ inputs: "A gorgeous, witty film." });
assert(labels[0].label === "positive" && labels[0].score > 0.9, JSON.stringify(labels));

// Places in units of UTF-16, as this language counts.
const inputs = "😀 Barack Obama was born in Hawaii.";
const names = await at("/models/english-entities").tokenClassification({ inputs, parameters: { offsets: "utf16" } });
const hawaii = names.find(entity => entity.word === "Hawaii");
assert(inputs.slice(hawaii.start, hawaii.end) === "Hawaii" && hawaii.entity_group === "LOC", JSON.stringify(names));

const vector = await at("/models/english-similarity/pipeline/feature-extraction").featureExtraction({ inputs: "a good film" });
assert(vector.length > 8 && vector.every(Number.isFinite));

const alike = await at("/models/english-similarity").sentenceSimilarity({
  inputs: { source_sentence: "a good film", sentences: ["a good film", "a river"] },
});
assert(Math.abs(alike[0] - 1) < 1e-4 && alike[1] < alike[0], `${alike}`);
console.log("the client of Hugging Face for JavaScript reads what it expects");
