"""semantic-router behind the REST channel's JSON shape: server.py ROWS PORT ENCODER

ROWS is a CSV file with the header `text,intent`, ENCODER a folder with model.onnx and tokenizer.json: the same
all-MiniLM-L6-v2 that banter uses for English. Each answer's text is the intent and its score.
"""

import csv
import json
import pathlib
import sys

import numpy
import onnxruntime
import tokenizers
import uvicorn
from semantic_router import IndexedRouter, Route
from semantic_router.encoders import DenseEncoder
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route as Path

rows, port, folder = sys.argv[1], int(sys.argv[2]), pathlib.Path(sys.argv[3])
session = onnxruntime.InferenceSession(str(folder / "model.onnx"))
inputs = {one.name for one in session.get_inputs()}
tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
tokenizer.enable_padding(pad_id=json.loads((folder / "config.json").read_text())["pad_token_id"])


class MiniLM(DenseEncoder):
    """The weights end with the mean over the tokens. The router compares vectors by cosine."""

    def __call__(self, docs):
        read = tokenizer.encode_batch(docs)
        mask = numpy.array([one.attention_mask for one in read], dtype=numpy.int64)
        given = {"input_ids": numpy.array([one.ids for one in read], dtype=numpy.int64), "attention_mask": mask}
        if "token_type_ids" in inputs:
            given["token_type_ids"] = numpy.zeros_like(mask)
        return session.run(None, given)[0].tolist()


by_intent = {}
with open(rows, encoding="utf-8", newline="") as file:
    for row in csv.DictReader(file):
        by_intent.setdefault(row["intent"], []).append(row["text"])
routes = [Route(name=name, utterances=texts) for name, texts in by_intent.items()]
router = IndexedRouter(encoder=MiniLM(name="minilm"), routes=routes)


async def answer(request):
    body = await request.json()
    best = await router.acall(body["message"])
    text = f"{best.name or 'none'} {best.confidence or 0.0}"
    return JSONResponse([{"recipient_id": body["sender"], "text": text}])


uvicorn.run(Starlette(routes=[Path("/webhooks/rest/webhook", answer, methods=["POST"])]), port=port, log_level="error")
