"""A model behind plain Starlette: JSON in, numpy, JSON out, and nothing is checked."""

import sys
from pathlib import Path

import joblib
import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

folder = Path(sys.argv[1])
names = [f"x{number}" for number in range(int(sys.argv[2]))]
model = joblib.load(folder / "model.joblib")


async def answer(request: Request) -> JSONResponse:
    rows = await request.json()
    table = np.array([[row[name] for name in names] for row in rows])
    scores = model.predict_proba(table)[:, 1].tolist()
    return JSONResponse({"predictions": [{"score": score} for score in scores]})


app = Starlette(routes=[Route("/predict", answer, methods=["POST"])])

if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[3]), log_level="error", access_log=False)
