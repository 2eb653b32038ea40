"""A model behind FastAPI, as its documentation would have it: one pydantic model for a row."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel, create_model

folder = Path(sys.argv[1])
columns = int(sys.argv[2])

row = create_model("Row", **{f"x{number}": (float, ...) for number in range(columns)})  # type: ignore[call-overload]


class Prediction(BaseModel):
    score: float


class Answer(BaseModel):
    predictions: list[Prediction]


def load() -> Any:
    if (folder / "model.onnx").exists():
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(folder / "model.onnx", options)
        name = session.get_inputs()[0].name
        output = session.get_outputs()[-1].name
        return lambda rows: session.run([output], {name: rows.astype(np.float32)})[0][:, 1]
    import joblib

    model = joblib.load(folder / "model.joblib")
    return lambda rows: model.predict_proba(rows)[:, 1]


app = FastAPI()
predict = load()


@app.post("/predict")  # type: ignore[untyped-decorator]
async def answer(rows: list[row]) -> Answer:  # type: ignore[valid-type]
    table = np.array([[getattr(one, f"x{n}") for n in range(columns)] for one in rows])
    return Answer(predictions=[Prediction(score=score) for score in predict(table).tolist()])


if __name__ == "__main__":
    import uvicorn

    uvicorn.run(app, port=int(sys.argv[3]), log_level="error", access_log=False)
