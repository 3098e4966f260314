"""Training passes of Llama-type models on a CPU, with less arithmetic than a model's own forward takes.

A prompt is read once for all the responses to it, nothing is padded, the vocabulary's logits are made in pieces and for
predicted tokens only, and gradients of weights are added where they lie. The numbers are the model's own up to float
noise. What these passes cannot take (`decoder.unsupported`) goes through the model's own forward.
"""
