#!/usr/bin/env python3
"""Asks a running server by the clients that exist, and checks what they read.

    bert serve --port 8080 &
    pip install huggingface_hub openai numpy
    python bert-server/clients/check.py http://127.0.0.1:8080

Takes the built-in models. Exit status 1 if something is not as it should be.
"""

import sys

from huggingface_hub import InferenceClient
from openai import OpenAI

url = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080"
failed = 0


def check(what, value, right):
    global failed
    failed += not right
    print(f"{'ok  ' if right else 'WRONG'} {what}: {str(value)[:110]}")


client = InferenceClient(url)
filled = client.fill_mask("The capital of France is [MASK].", top_k=2)
check("fill_mask", filled[0], len(filled) == 2 and filled[0].score >= filled[1].score and filled[0].token_str)

filled = client.fill_mask("A [MASK] film.", targets=["good", "bad"])
check("fill_mask with targets", filled[0], {word.token_str for word in filled} == {"good", "bad"})

reviews = InferenceClient(f"{url}/models/english-sentiment")
labels = reviews.text_classification("A gorgeous, witty film.")
check("text_classification", labels[0], labels[0].label == "positive" and labels[0].score > 0.9)

text = "😀 Barack Obama was born in Hawaii."
names = InferenceClient(f"{url}/models/english-entities")
entities = names.token_classification(text)
hawaii = next(entity for entity in entities if entity.word == "Hawaii")
check("token_classification", hawaii, text[hawaii.start : hawaii.end] == "Hawaii" and hawaii.entity_group == "LOC")

vectors = InferenceClient(f"{url}/models/english-similarity/pipeline/feature-extraction")
vector = vectors.feature_extraction("a good film", normalize=True)
check("feature_extraction", vector.shape, abs(float((vector**2).sum()) - 1) < 1e-4)

scores = client.sentence_similarity("a good film", other_sentences=["a good film", "a river"])
check("sentence_similarity", scores, abs(scores[0] - 1) < 1e-4 and scores[1] < scores[0])

openai = OpenAI(base_url=f"{url}/v1", api_key="none")
reply = openai.embeddings.create(model="english-similarity", input=["a good film", "a river"])
check("openai.embeddings", reply.usage, len(reply.data) == 2 and len(reply.data[0].embedding) == vector.size)

reply = openai.embeddings.create(model="english-similarity", input="a good film", dimensions=8, encoding_format="float")
check("openai.embeddings with dimensions", reply.data[0].embedding[:2], len(reply.data[0].embedding) == 8)

models = [model.id for model in openai.models.list()]
check("openai.models", models, "english-mlm" in models)

sys.exit(failed > 0)
