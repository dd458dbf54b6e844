"""Encoders, whatever runs their network; the models that come with the toolkit; export to ONNX.

Importing this does not import torch; loading a checkpoint does, loading an ONNX file does not.
"""

from reid_hash.models.encoder import Encoder
from reid_hash.models.load import load_model
from reid_hash.models.shipped import list_models

__all__ = ["Encoder", "list_models", "load_model"]
