"""Follow the people in a video and tell them apart, with every stage in view.

    python demo/video.py street.mp4 [detector.onnx]

Without a file in YOLOX form, moving shapes before a fixed camera are taken for people. The command
`reid-hash demo street.mp4` does the same and more; this shows the parts it is made of.
"""

import sys
import tempfile
import threading

import numpy as np

from reid_hash.app.runs import RUNS, find_model
from reid_hash.distances import by_certainty, query_values
from reid_hash.gallery.sighting import Sighting
from reid_hash.gallery.sqlite.gallery import Gallery
from reid_hash.models.load import load_model
from reid_hash.video.crops import CropOptions, cut, network_input
from reid_hash.video.detectors.detector import open_detector
from reid_hash.video.identity.recognition import BOUNDS
from reid_hash.video.source import open_source, parse_source
from reid_hash.video.track_code import CropCode, TrackCode
from reid_hash.video.tracker import Tracker


def main(video: str, detector_name: str = "motion") -> None:
    source = open_source(parse_source(video))
    detector = open_detector(detector_name)
    tracker = Tracker(source.fps, shapes=detector.shapes)
    encoder = load_model(find_model(None, "cuhk03", RUNS))
    tracks: dict[int, TrackCode] = {}

    # frames → boxes → tracks → crops → codes: a track's code is the majority of its best crops
    for seconds, frame in source.frames(threading.Event(), print):
        tracked = tracker.update(detector.detect(frame), seconds)
        crops = cut(frame, tracked.boxes, tracked.boxes, CropOptions())
        crops = [
            crop
            for crop in crops
            if tracks.setdefault(int(tracked.tracks[crop.row]), TrackCode()).wants(seconds)
        ]
        if crops:
            outputs, _ = encoder.outputs(network_input(crops, encoder.size))
            codes, values = encoder.binarise(outputs), query_values(outputs)
            for i, crop in enumerate(crops):
                crop_code = CropCode(codes[[i]], crop.quality, seconds, values[i])
                tracks[int(tracked.tracks[crop.row])].add(crop_code)
    source.close()

    # codes → gallery: the mean of a track's real values is looked for among the codes before it
    like = encoder.binarise(np.zeros((0, encoder.bits)))
    limit = BOUNDS[0] * float(like.weights.sum())
    with (
        tempfile.TemporaryDirectory() as folder,
        Gallery.create(folder, like.bits, like.weights, like.model) as gallery,
    ):
        for number, track in tracks.items():
            if len(track) < 3:
                continue
            descriptor, text = track.descriptor(), "is new"
            (nearest,) = gallery.search_many(descriptor.values[None], k=1)
            for match in nearest:
                if by_certainty(match.distance, descriptor.values, like) <= limit:
                    text = f"looks like track {match.sighting.track}"
            print(f"track {number}: {text}")
            gallery.add(descriptor.code, [Sighting(source=video, track=number)])


if __name__ == "__main__":
    main(*sys.argv[1:])
