"""OR-tools PDLP on a linear programme on disk, run by an environment of its own: needs nothing of this project.

`python pdlp_peer.py FOLDER` reads what `plan_peers.pdlp` wrote there and prints CPU seconds and the value as JSON.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import scipy.sparse
from ortools.pdlp import solve_log_pb2, solvers_pb2
from ortools.pdlp.python import pdlp

GAP = 1e-5
"""Relative distance of primal and dual at which it stops."""

TIME_LIMIT_S = 300.0


def main(folder: Path) -> None:
    problem = np.load(folder / "problem.npz")
    matrix = scipy.sparse.csc_matrix(scipy.sparse.load_npz(folder / "matrix.npz"))
    rows, cells = matrix.shape
    programme = pdlp.QuadraticProgram()
    programme.resize_and_initialize(cells, rows)
    programme.objective_vector = -problem["gain"]
    programme.constraint_matrix = matrix
    programme.constraint_lower_bounds = np.full(rows, -np.inf)
    programme.constraint_upper_bounds = problem["bound"]
    programme.variable_lower_bounds = np.zeros(cells)
    programme.variable_upper_bounds = np.full(cells, np.inf)
    settings = solvers_pb2.PrimalDualHybridGradientParams()
    criteria = settings.termination_criteria.detailed_optimality_criteria
    criteria.eps_optimal_objective_gap_relative = GAP
    criteria.eps_optimal_objective_gap_absolute = 0.0
    criteria.eps_optimal_primal_residual_relative = GAP
    criteria.eps_optimal_dual_residual_relative = GAP
    settings.termination_criteria.time_sec_limit = TIME_LIMIT_S
    start = time.process_time()
    found = pdlp.primal_dual_hybrid_gradient(programme, settings)
    cpu = time.process_time() - start
    optimal = found.solve_log.termination_reason == solve_log_pb2.TERMINATION_REASON_OPTIMAL
    value = float(problem["gain"] @ found.primal_solution)
    print(json.dumps({"cpu_s": cpu, "value": value, "optimal": float(optimal)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
