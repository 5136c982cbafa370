"""One scoring a process, from a timeline that is there to scores on the disk; prints what it took as JSON.

python -m benchmarks.parts.scoring_batch FOLDER CUSTOMERS EVENTS THREADS SUFFIX
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.parts.history import peak_gb, prepared
from benchmarks.parts.scoring_work import AS_OF, CAMPAIGN, additive_bundle, customers_of, settings, tables
from contract.progress import silent
from contract.stages import Stages
from features.engines import number_customers
from features.spine import category_of
from models.forest import prepare
from serving.audience import Audience
from serving.batch import BlockScorer, by_threads, write_scores
from serving.eligibility import Eligibility
from serving.eligibility_files import eligibility_beside
from serving.outputs import Outputs
from serving.part_files import PartFiles, workshop
from serving.scorer import Scorer
from serving.scores import Stamp


def main(folder: Path, customers: int, events: int, threads: int, suffix: str) -> None:
    """Scores everybody."""
    params = settings(threads)
    work = prepared(folder, customers, params, median_events=events)
    model = additive_bundle(folder, work, params)
    source = tables(work, params)
    prepare()
    scorer = Scorer.of(model, params.planning.interval)
    wall, cpu = time.perf_counter(), time.process_time()
    stages = Stages(time.thread_time)
    size = params.resources.block_customers
    outputs = Outputs.of(folder / f"scores{suffix}")
    number_customers(source.connection, work.timeline.ids)
    rule = Eligibility(source.connection, params, AS_OF, CAMPAIGN, audience=work.timeline.ids)
    gathered, gathered_peak = time.process_time() - cpu, peak_gb()
    with (
        eligibility_beside(outputs.beside, rule, size, silent, threads=threads),
        workshop(outputs.work) as hidden,
    ):
        block = BlockScorer(
            scorer=scorer,
            timeline=work.timeline,
            customers=customers_of(scorer.features, source, work.timeline),
            unprofiled=np.zeros(work.timeline.n_customers, np.bool_),
            rule=rule,
            costs=np.array([params.channels[name].unit_cost for name in params.outbound]),
            stamp=Stamp(CAMPAIGN, work.timeline.window.until_us, model.model_version),
            category=category_of(work.timeline.codebook, CAMPAIGN),
            stages=stages,
        )
        audience = Audience.sorted_into(hidden / "audience.parquet", source.connection, size)
        began, before = time.perf_counter(), time.process_time()
        files = PartFiles(hidden, outputs.targets(hidden), "")
        write_scores(block, audience, files, size, by_threads(block, files, threads), silent)
        files.finish({})
        outputs.deliver(hidden)
    figures = {
        "rows": block.counts.customers * len(params.outbound),
        "events": work.timeline.n_events,
        "cpu_s": time.process_time() - cpu,
        "wall_s": time.perf_counter() - wall,
        "eligibility_cpu_s": gathered,
        "eligibility_peak_gb": gathered_peak,
        "loop_cpu_s": time.process_time() - before,
        "loop_wall_s": time.perf_counter() - began,
        "bytes": outputs.work.stat().st_size,
        "peak_gb": peak_gb(),
        **{f"stage_{name}_s": seconds for name, seconds in stages.seconds.items()},
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
