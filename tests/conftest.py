"""What all tests share."""

import os

# two pools of threads on two cores wait for each other; one thread a test process is enough
os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
