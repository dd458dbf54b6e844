"""The files in the folder of a run, `runs/DATASET/TIME/`. Importing this needs no torch."""

MODEL_FILE = "model.safetensors"
"""The trained model; enough on its own to encode and evaluate (`nn/checkpoint.py`)."""

CONFIG_FILE = "config.yaml"
"""The whole configuration, as `--config` takes it."""

METRICS_FILE = "metrics.jsonl"
"""One JSON object for each line of the log and for each evaluation."""

REPORT_FILE = "report.html"
"""The report for people."""

STATE_FILE = "state.safetensors"
"""What `--resume` goes on from; gone once the run is finished."""

TEACHER_FILE = "teacher.npy"
"""The teacher's embeddings, computed once; gone once the run is finished."""
