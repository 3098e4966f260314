"""Model names to models: hub ids, folders, run directories, packaged models, and the lab's own small ones."""

from __future__ import annotations

from presat.models.lab import make_lab_model
from presat.models.loading import load_model_and_tokenizer, model_note, resolve_model
from presat.models.packaged import PACKAGED, Packaged

__all__ = ["PACKAGED", "Packaged", "load_model_and_tokenizer", "make_lab_model", "model_note", "resolve_model"]
