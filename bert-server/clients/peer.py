#!/usr/bin/env python3
"""A server for embeddings as it is usually written in Python: FastAPI on uvicorn, `transformers` on PyTorch. `bench.py`
compares `bert serve` with it.

    pip install fastapi uvicorn torch transformers
    python bert-server/clients/peer.py path/to/all-MiniLM-L6-v2 --port 8081 --batch 32

`POST /embed` takes {"inputs": text} and answers [[number]]: the mean of the last hidden states, of length 1. What waits
is sorted by length and computed in batches of `--batch` texts, as `sentence-transformers` does with a list.
"""

import argparse
import asyncio
from contextlib import asynccontextmanager

import torch
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from transformers import AutoModel, AutoTokenizer

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("model")
parser.add_argument("--port", type=int, default=8081)
parser.add_argument("--batch", type=int, default=32)
parser.add_argument("--threads", type=int)
arguments = parser.parse_args()
if arguments.threads:
    torch.set_num_threads(arguments.threads)

tokenizer = AutoTokenizer.from_pretrained(arguments.model)
model = AutoModel.from_pretrained(arguments.model).eval()
longest = min(tokenizer.model_max_length, model.config.max_position_embeddings)
waiting = asyncio.Queue()


class Request(BaseModel):
    inputs: str


@torch.inference_mode()
def embed(texts):
    tokens = tokenizer(texts, padding=True, truncation=True, max_length=longest, return_tensors="pt")
    states = model(**tokens).last_hidden_state
    mask = tokens["attention_mask"].unsqueeze(-1)
    vectors = (states * mask).sum(1) / mask.sum(1)
    return torch.nn.functional.normalize(vectors).tolist()


async def work():
    loop = asyncio.get_running_loop()
    while True:
        found = [await waiting.get()]
        while not waiting.empty():
            found.append(waiting.get_nowait())
        found.sort(key=lambda request: len(request[0]))
        for start in range(0, len(found), arguments.batch):
            batch = found[start : start + arguments.batch]
            vectors = await loop.run_in_executor(None, embed, [text for text, _ in batch])
            for (_, answer), vector in zip(batch, vectors):
                answer.set_result(vector)


@asynccontextmanager
async def lifespan(_):
    worker = asyncio.create_task(work())
    yield
    worker.cancel()


app = FastAPI(lifespan=lifespan)


@app.get("/health")
async def health():
    return "ok"


@app.post("/embed")
async def answer(request: Request):
    future = asyncio.get_running_loop().create_future()
    await waiting.put((request.inputs, future))
    return [await future]


uvicorn.run(app, host="127.0.0.1", port=arguments.port, log_level="warning")
