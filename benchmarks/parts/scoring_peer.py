"""Peers that need an environment of their own, as its JSON: `scoring_peer.py FOLDER`; lleaves and ONNX Runtime.

FOLDER holds model.txt, rows.npy (n, p) float32, raw.npy (n,) LightGBM's raw scores.
"""

import json
import sys
import time
from pathlib import Path

import lightgbm as lgb
import lleaves
import numpy as np
import onnxmltools
import onnxruntime
from onnxmltools.convert.common.data_types import FloatTensorType

TIMES = 3


def took(work):
    """CPU seconds of the best of some runs, and what it gave."""
    figures = []
    for _ in range(TIMES):
        start = time.process_time()
        result = work()
        figures.append(time.process_time() - start)
    return min(figures), result


def main(folder: Path) -> None:
    rows, raw = np.load(folder / "rows.npy"), np.load(folder / "raw.npy")
    expected = 1 / (1 + np.exp(-raw))
    found = {}
    start = time.process_time()
    compiled = lleaves.Model(model_file=str(folder / "model.txt"))
    compiled.compile()
    ready = time.process_time() - start
    wide = rows.astype(np.float64)
    cpu, result = took(lambda: compiled.predict(wide, n_jobs=1))
    found["lleaves"] = {"cpu_s": cpu, "difference": float(np.abs(result - expected).max()), "ready_s": ready}
    booster = lgb.Booster(model_file=str(folder / "model.txt"))
    start = time.process_time()
    try:
        types = [("rows", FloatTensorType([None, rows.shape[1]]))]
        model = onnxmltools.convert_lightgbm(booster, initial_types=types, zipmap=False)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(model.SerializeToString(), options)
        ready = time.process_time() - start
        cpu, result = took(lambda: session.run(["probabilities"], {"rows": rows})[0][:, 1])
        found["onnxruntime"] = {"cpu_s": cpu, "difference": float(np.abs(result - expected).max()), "ready_s": ready}
    except Exception as error:
        found["onnxruntime"] = {"failed": f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"}
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
