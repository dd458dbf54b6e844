"""People in videos: source → detector → tracker → crops → track code → identity → drawn frames.

Each stage can be used by itself, see demo/video.py; `Pipeline` runs them in threads of their own.
"""

from reid_hash.video.crops import Crop, CropOptions, cut, network_input
from reid_hash.video.detectors.detector import Detector, open_detector
from reid_hash.video.draw.boxes import draw_scene
from reid_hash.video.draw.canvas import Canvas
from reid_hash.video.events import Events
from reid_hash.video.identity.identify import Identifier, IdentifyOptions, Watched
from reid_hash.video.identity.recognition import People, make_limit
from reid_hash.video.identity.tracks import Track, Tracks
from reid_hash.video.pipeline import Pipeline
from reid_hash.video.source import Address, Source, open_source, parse_source, parse_sources
from reid_hash.video.summary import Person, Visit, people_of
from reid_hash.video.track_code import CropCode, TrackCode, TrackDescriptor, majority
from reid_hash.video.tracker import Tracked, Tracker
from reid_hash.video.types import Detections, Frame, Scene

__all__ = [
    "Address",
    "Canvas",
    "Crop",
    "CropCode",
    "CropOptions",
    "Detections",
    "Detector",
    "Events",
    "Frame",
    "Identifier",
    "IdentifyOptions",
    "People",
    "Person",
    "Pipeline",
    "Scene",
    "Source",
    "Track",
    "TrackCode",
    "TrackDescriptor",
    "Tracked",
    "Tracker",
    "Tracks",
    "Visit",
    "Watched",
    "cut",
    "draw_scene",
    "majority",
    "make_limit",
    "network_input",
    "open_detector",
    "open_source",
    "parse_source",
    "parse_sources",
    "people_of",
]
