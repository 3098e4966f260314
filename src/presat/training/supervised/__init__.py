"""Continual pre-training and SFT on TRL's trainer, over rows tokenised once."""
