"""The same scorer behind MLflow's own server: ids in, scores out; MLflow runs this file as the model."""

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pyarrow as pa
from mlflow.pyfunc.model import PythonModel

from contract.loading import load_params
from contract.stored import EVENTS
from features.sqlite_store import SqliteStore
from models.bundle import load_bundle
from serving.http.service import microseconds
from serving.live import LiveModel, Person, open_shop
from serving.live_rules import LiveRules
from serving.scores import Stamp, Standing, score_table


class Peer(PythonModel):
    """Scores customers of a store, as the batch writes them."""

    def load_context(self, context: Any) -> None:  # noqa: ARG002  MLflow's signature
        """Opens store and bundle once."""
        told, params = json.loads(os.environ["CHANNELWISE_PEER"]), load_params()
        self.now_us = microseconds(datetime.fromisoformat(told["as_of"]))
        self.store = SqliteStore(Path(told["store"]) / EVENTS, params)
        self.shop = open_shop(Path(told["store"]), params)
        self.model = LiveModel(load_bundle(Path(told["model"]), 1), params, self.store, self.shop, self.now_us)
        ids = self.shop.ids.to_pylist()
        self.rules = LiveRules(self.shop.connection, params, ids, self.shop.transactional, self.now_us)
        self.costs = np.array([params.channels[name].unit_cost for name in params.outbound])

    def predict(self, context: Any, model_input: Any, params: dict[str, Any] | None = None) -> Any:  # noqa: ARG002
        """Rows of the scores, by customer and channel."""
        ids, model = model_input["customer_id"].tolist(), self.model
        people = [Person(each, model.history(each)) for each in ids]
        predictions = model.predict(people, self.now_us, self.shop.campaign(None))
        access, manifest = self.rules.access(ids, self.now_us, None), model.bundle.manifest
        evidence = tuple(each.verdict for each in manifest.evidence[1:])
        stamp = Stamp("", self.now_us, model.model_version)
        named, standing = pa.array(ids, pa.string()), Standing.of(access)
        table = score_table(named, manifest.outbound, predictions, standing, self.costs, evidence, stamp)
        return table.to_pandas()


mlflow.models.set_model(Peer())
