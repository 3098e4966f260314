"""The CPU settings of a verb."""

from __future__ import annotations

import torch

from presat.models.cpu import _FLOAT32, _product_error, use_cpu


def test_onednn_keeps_float32_products() -> None:
    kept = torch.get_float32_matmul_precision(), torch.get_num_threads()
    try:
        use_cpu(1, onednn=True)
        assert torch.get_num_threads() == 1
        assert _product_error() < _FLOAT32
    finally:
        torch.set_float32_matmul_precision(kept[0])
        torch.set_num_threads(kept[1])


def test_where_onednn_would_round_it_is_switched_off(monkeypatch) -> None:
    kept = torch.get_float32_matmul_precision()
    monkeypatch.setattr("presat.models.cpu._product_error", lambda: 0.1)
    try:
        use_cpu(0, onednn=True)
        assert torch.get_float32_matmul_precision() == "highest"
    finally:
        torch.set_float32_matmul_precision(kept)


def test_the_switch_is_left_alone_where_a_gpu_would_follow_it(monkeypatch) -> None:
    kept = torch.get_float32_matmul_precision()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    try:
        torch.set_float32_matmul_precision("highest")
        use_cpu(0, onednn=True)
        assert torch.get_float32_matmul_precision() == "highest"
    finally:
        torch.set_float32_matmul_precision(kept)
