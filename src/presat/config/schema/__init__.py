"""Configuration, written once: one pydantic model per verb.

The attribute docstrings of these modules are the command line's help, the YAML schema and the reference page. Defaults
follow the paper (arXiv:2604.18574, appendix B); `docs/deviations.md` lists where they do not.
"""

from __future__ import annotations

from presat.config.schema.base import (
    DrawConfig,
    EngineConfig,
    LoraConfig,
    ModelConfig,
    ServerConfig,
    TaskConfig,
    VerifyConfig,
    VllmConfig,
)
from presat.config.schema.check import CheckConfig
from presat.config.schema.data import (
    CorruptConfig,
    FilterConfig,
    InspectConfig,
    SampleConfig,
    SubsetConfig,
    TracesConfig,
)
from presat.config.schema.judges import SelfSupportConfig
from presat.config.schema.kinds import Settings, YamlMapping
from presat.config.schema.study import (
    STAGES,
    StageName,
    StudyBase,
    StudyConfig,
    StudyReportConfig,
    StudyRunConfig,
    StudyStatusConfig,
)
from presat.config.schema.tools import (
    DemoConfig,
    DiagnoseConfig,
    EvalConfig,
    InitConfig,
    PresetsConfig,
    ReadingConfig,
    ReportConfig,
    WatchConfig,
)
from presat.config.schema.training import (
    VOTES,
    CorpusConfig,
    CptConfig,
    EvalSettings,
    Gate,
    OptimConfig,
    PackConfig,
    RewardConfig,
    RewardPart,
    SftConfig,
    StopConfig,
    SupervisedConfig,
    SupervisedOptimConfig,
    TrainConfig,
)

__all__ = [
    "STAGES",
    "VOTES",
    "CheckConfig",
    "CorpusConfig",
    "CorruptConfig",
    "CptConfig",
    "DemoConfig",
    "DiagnoseConfig",
    "DrawConfig",
    "EngineConfig",
    "EvalConfig",
    "EvalSettings",
    "FilterConfig",
    "Gate",
    "InitConfig",
    "InspectConfig",
    "LoraConfig",
    "ModelConfig",
    "OptimConfig",
    "PackConfig",
    "PresetsConfig",
    "ReadingConfig",
    "ReportConfig",
    "RewardConfig",
    "RewardPart",
    "SampleConfig",
    "SelfSupportConfig",
    "ServerConfig",
    "Settings",
    "SftConfig",
    "StageName",
    "StopConfig",
    "StudyBase",
    "StudyConfig",
    "StudyReportConfig",
    "StudyRunConfig",
    "StudyStatusConfig",
    "SubsetConfig",
    "SupervisedConfig",
    "SupervisedOptimConfig",
    "TaskConfig",
    "TracesConfig",
    "TrainConfig",
    "VerifyConfig",
    "VllmConfig",
    "WatchConfig",
    "YamlMapping",
]
