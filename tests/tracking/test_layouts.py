"""Every layout of docs/reports.md is read as it says there. The samples in `logs/` were written by the libraries
themselves (W&B 0.31, trackio 0.43, MLflow 3.17, TensorBoard 2.21, transformers 5.23); the lines below are of shape."""

import contextlib
import json
import math
import re
import shutil
import sqlite3
from pathlib import Path

import polars as pl
import pytest

from presat.analysis import summarise
from presat.console import make_console
from presat.errors import PresatError, RunError
from presat.report import watch_run
from presat.rewards import SOURCES
from presat.tracking import open_run, open_runs
from presat.tracking.readers.aliases import PROXIES, REWARDS, STEPS, is_known, our_name

LOGS = Path(__file__).parent / "logs"
REWARD = [0.25, 0.4, 0.55, 0.7, 0.85, *[1.0] * 7]
"""What each of the samples logs, one value a step; 0.2 and 0.6 on the evaluation set before and after."""


def save(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def rows(path, *items):
    return save(path, "".join(json.dumps(item) + "\n" for item in items))


def noted(run):
    return " ".join(run.notes)


def trackio(folder):
    database = sqlite3.connect(folder / "grpo.db")
    database.executescript((LOGS / "trackio.sql").read_text())
    database.close()
    return folder / "grpo.db"


def mlflow_database(folder):
    """The tables of MLflow 3 as far as they are read."""
    database = sqlite3.connect(folder / "mlflow.db")
    database.executescript(
        "CREATE TABLE runs (run_uuid TEXT, name TEXT, lifecycle_stage TEXT);"
        "CREATE TABLE metrics (key TEXT, value DOUBLE, timestamp BIGINT, run_uuid TEXT, step BIGINT, is_nan BOOLEAN);"
        "INSERT INTO runs VALUES ('1', 'one', 'active'), ('2', 'two', 'active'), ('3', 'gone', 'deleted');"
        "INSERT INTO metrics VALUES ('reward', 0.5, 9, '1', 1, 0), ('eval_reward', 0, 9, '1', 1, 1);"
        "INSERT INTO metrics VALUES ('reward', 0.7, 9, '2', 1, 0), ('reward', 0.9, 9, '3', 1, 0);"
    )
    database.close()
    return folder / "mlflow.db"


# --- unknown columns -------------------------------------------------------------------------------------------------


def test_an_unknown_column_is_kept_listed_and_never_judged(tmp_path):
    """A healthy run, whose `solved_share` falls to 0: nobody said that it is a score."""
    lines = [
        {"step": s, "reward": min(1, s / 20), "frac_reward_zero_std": 1 - s / 40, "step_time": 1 / (s + 1),
         "_runtime": s, "solved_share": 1 - s / 40, "note": "x"}
        for s in range(1, 41)
    ]  # fmt: skip
    run = open_run(rows(tmp_path / "a.jsonl", *lines))
    assert run.eval_sets() == []
    assert run.held_out() is None
    assert run.series("solved_share")[1][0] == pytest.approx(1 - 1 / 40)
    assert summarise(run).verdict.label == "trained, not evaluated"
    said = [note for note in run.notes if "does not know" in note]
    assert len(said) == 1
    assert said[0].startswith(
        "1 column of a.jsonl that presat does not know, kept and never judged: solved_share. Is one"
    )
    named = open_run(tmp_path / "a.jsonl", columns={"math": "Solved_Share"})
    assert named.held_out()[:2] == ("math", "score")
    assert summarise(named).verdict.label == "collapsed"
    assert not any("does not know" in note for note in named.notes)


def test_many_unknown_columns_are_one_short_note(tmp_path):
    names = [f"thing_{i}" for i in range(500)]
    run = open_run(save(tmp_path / "t.csv", f"step,reward,{','.join(names)}\n1,0.5{',1' * 500}\n"))
    said = [note for note in run.notes if "does not know" in note]
    assert len(said) == 1
    assert len(said[0]) < 300
    assert "500 columns" in said[0]


def test_a_column_of_text_is_left_out_and_one_of_a_known_metric_refused(tmp_path):
    run = open_run(save(tmp_path / "t.csv", "step,reward,note\n1,0.5,warm-up\n2,0.6,\n"))
    assert run.names() == ["reward"]
    assert "Columns of t.csv that hold text are left out: note." in run.notes
    with pytest.raises(RunError, match="column `kl`: 'high' is not a number"):
        open_run(save(tmp_path / "u.csv", "step,reward,kl\n1,0.5,high\n"))


def test_names_match_without_regard_to_case(tmp_path):
    run = open_run(save(tmp_path / "t.csv", "Step,Reward,KL,MATH/Avg@16,Eval/AIME/Pass@8\n0,,,0.1,0.2\n1,0.5,0.1,,\n"))
    assert run.names() == ["eval/AIME/pass@8", "eval/MATH/avg@16", "kl", "reward"]
    with pytest.raises(RunError, match="several columns of 'reward'"):
        open_run(save(tmp_path / "u.csv", "step,reward,Reward\n1,0.5,0.4\n").with_name("u.csv"))


def test_a_reward_of_step_0_in_a_table_of_ones_own_is_left_out_with_a_word(tmp_path):
    run = open_run(save(tmp_path / "t.csv", "step,reward\n0,0.1\n1,0.2\n"))
    assert run.train_rewards().tolist() == [0.2]
    assert "The reward of step 0 is left out of the curve" in noted(run)


def test_what_is_chosen_has_to_be_there(tmp_path):
    path = save(tmp_path / "t.csv", "iteration,r,held\n0,,0.1\n1,0.5,0.2\n")
    with pytest.raises(RunError, match=r"no `step` column\. Its columns: iteration, r, held\. Name the one"):
        open_run(path)
    run = open_run(path, columns={"step": "iteration", "reward": "r", "math/f1": "held"})
    assert run.train_rewards().tolist() == [0.5]
    assert run.held_out()[:2] == ("math/f1", "score")
    with pytest.raises(RunError, match=r"no column 'hold'\. Did you mean 'held'\?"):
        open_run(path, columns={"step": "iteration", "math": "hold"})


def test_the_table_of_names_says_where_each_was_seen():
    for alias in (*STEPS, *REWARDS):
        assert alias.seen
        assert is_known(alias.theirs)
    assert set(SOURCES) - {"verifiable"} | {"weighted_sum"} == PROXIES


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("train/loss", "loss"),
        ("train/rewards/format/mean", "rewards/format/mean"),
        ("train/labels/gold_accuracy", "labels/gold_accuracy"),
        ("eval/reward", "eval/eval/reward"),
        ("eval_reward", "eval/eval/reward"),
        ("eval/aime24/avg@32", "eval/aime24/avg@32"),
        ("eval/eval_math_pass1", "eval/math/score"),
        ("eval_math_pass8", "eval/math/pass@8"),
        ("validation/accuracy", "eval/validation/accuracy"),
        ("train/accuracy", "train/accuracy"),
        ("rewards/accuracy", "rewards/accuracy"),
        ("eval/step_time", "eval/step_time"),
        ("train/policy_loss", "loss"),
        ("optim/lr", "learning_rate"),
        ("clip_ratio/region_mean", "clip_ratio/region_mean"),
        ("train/clip_ratio", "clip_ratio/region_mean"),
        ("actor/pg_clipfrac", "clip_ratio/region_mean"),
        ("train/pg_clipfrac", "clip_ratio/region_mean"),
        ("ppo_clip_ratio", "clip_ratio/region_mean"),
        ("train/completions/clipped_ratio", "completions/clipped_ratio"),
        ("response_length/clip_ratio", "completions/clipped_ratio"),
        ("response_clip_ratio", "completions/clipped_ratio"),
        ("rollout/truncated_ratio", "completions/clipped_ratio"),
        ("is_truncated/all/mean", "completions/clipped_ratio"),
        ("train/completion_length", "completions/mean_length"),
        ("eval_rewards/correct/std", "eval/eval/correct_std"),
    ],
)
def test_names_of_other_trainers(theirs, ours):
    assert our_name(theirs) == ours


# --- exports and stores ----------------------------------------------------------------------------------------------


def test_an_export_of_several_runs_is_several_runs(tmp_path):
    names = ("train/reward", "train/reward__MIN", "train/reward__MAX", "train/global_step", "eval/math/avg@16")
    header = ["Step", *(f"{run} - {name}" for run in ("run-a", "run-b") for name in names)]
    lines = [header, ["0", "", "", "", "0", "0.1", "", "", "", "0", "0.3"]]
    lines += [[str(s), f"0.{s}", "9", "9", str(s), "", f"0.{s + 1}", "9", "9", str(2 * s), ""] for s in (1, 2)]
    path = save(tmp_path / "wandb.csv", "".join(",".join(f'"{c}"' for c in line) + "\n" for line in lines))
    one, two = open_runs(path)
    assert (one.name, two.name) == ("run-a", "run-b")
    assert one.train_rewards().tolist() == [0.1, 0.2]
    assert two.values["reward"] == {2: 0.2, 4: 0.3}  # each run's own count of steps
    assert one.eval_series("math", "avg@16")[1].tolist() == [0.1]
    assert open_run(path, run="run-b").name == "run-b"
    with pytest.raises(RunError, match="holds several runs: run-a, run-b"):
        open_run(path)
    with pytest.raises(RunError, match=r"no run 'run-c'\. Did you mean"):
        open_run(path, run="run-c")
    seen = watch_run(path, once=True, console=make_console(), reading={"run": "run-b"})
    assert seen.name == "run-b"


@pytest.mark.parametrize(
    "what", ["wandb", "wandb file", "trackio", "mlflow", "mlflow run", "tensorboard", "event file"]
)
def test_what_trackers_leave_is_read(tmp_path, what):
    shutil.copytree(LOGS, tmp_path / "x")
    paths = {
        "wandb": tmp_path / "x",
        "wandb file": next((tmp_path / "x").glob("offline-run-*/*.wandb")),
        "trackio": trackio(tmp_path),
        "mlflow": tmp_path / "x" / "mlruns",
        "mlflow run": tmp_path / "x" / "mlruns" / "run",
        "tensorboard": tmp_path / "x" / "tensorboard",
        "event file": next((tmp_path / "x" / "tensorboard").iterdir()),
    }
    for name in ("trl.log", "trl_fast.log"):
        (tmp_path / "x" / name).unlink()
    runs = open_runs(paths[what])
    assert len(runs) == (2 if what == "trackio" else 1)
    for run in runs:
        assert run.train_rewards().tolist() == pytest.approx(REWARD)
        assert run.scores("eval")[1].tolist() == [0, 12]
        assert run.scores("eval")[2].tolist() == pytest.approx([0.2, 0.6])
        assert run.kind in ("wandb", "trackio", "mlflow", "tensorboard")
        assert not any("more than once" in note or "does not know" in note for note in run.notes)
    names = {"wandb": "qwen-grpo", "mlflow run": "seed-0", "tensorboard": "tensorboard"}
    assert runs[0].name == names.get(what, runs[0].name)
    if what == "trackio":
        assert [run.name for run in runs] == ["seed-0", "seed-1"]
        assert open_run(tmp_path, run="seed-1").train_rewards().size == 12  # the folder with the database


def test_trackios_table_is_read_as_its_database(tmp_path):
    columns = {
        "id": [1, 2, 3],
        "timestamp": ["t"] * 3,
        "run_name": ["a", "a", "b"],
        "step": [0, 1, 0],
        "train/global_step": [1, 2, 1],
        "train/reward": [0.5, 0.7, None],
        "train/loss": [0.1, 0.1, 0.2],
    }
    pl.DataFrame(columns).write_parquet(tmp_path / "grpo.parquet")
    pl.DataFrame({"run_name": ["a"], "timestamp": ["t"]}).write_parquet(tmp_path / "grpo_system.parquet")
    for path in (tmp_path, tmp_path / "grpo.parquet"):
        one, two = open_runs(path)
        assert (one.name, two.name) == ("a", "b")
        assert one.train_rewards().tolist() == [0.5, 0.7]
        assert two.names() == ["loss"]


def test_infinities_that_trackers_write_as_text_are_infinities(tmp_path):
    database = sqlite3.connect(tmp_path / "x.db")
    database.executescript(
        "CREATE TABLE metrics (id INTEGER, run_name TEXT, step INTEGER, metrics TEXT);"
        """INSERT INTO metrics VALUES (1, 'a', 1, '{"train/kl": "NaN", "train/reward": "Infinity"}');"""
    )
    database.close()
    run = open_run(tmp_path / "x.db")
    assert run.not_finite == {"kl": {1}, "reward": {1}}
    assert "Infinite values in x.db count as missing: train/reward (once)." in run.notes


def test_mlflows_database_is_read_without_deleted_runs(tmp_path):
    one, two = open_runs(mlflow_database(tmp_path))
    assert (one.name, two.name) == ("one", "two")
    assert one.train_rewards().tolist() == [0.5]
    assert math.isnan(one.values["eval/eval/reward"][1])
    sqlite3.connect(tmp_path / "other.db").executescript("CREATE TABLE things (x);")
    with pytest.raises(RunError, match="holds no run that presat reads"):
        open_run(tmp_path / "other.db")


@pytest.mark.parametrize("sample", ["offline-run-*/*.wandb", "tensorboard/*"])
def test_a_history_cut_at_any_byte_gives_what_is_before(tmp_path, sample):
    whole = next(LOGS.glob(sample))
    raw, values = whole.read_bytes(), open_run(whole).values
    for cut in range(40, len(raw), 97):
        path = tmp_path / whole.name
        path.write_bytes(raw[:cut])
        run = open_run(path)
        for name, series in run.values.items():
            assert name.startswith("_") or series.items() <= values[name].items()
        assert open_run(path, growing=True).torn == run.torn
    assert any("ends within a record" in note for note in run.notes)


@pytest.mark.parametrize("sample", ["offline-run-*/*.wandb", "tensorboard/*", "trackio.sql", "trl.log"])
def test_bytes_put_into_a_history_give_a_run_or_a_sentence(tmp_path, sample):
    whole = trackio(tmp_path) if sample == "trackio.sql" else next(LOGS.glob(sample))
    raw, path = whole.read_bytes(), tmp_path / whole.name
    for number, put in enumerate((b"\xff" * 9, b"\0" * 20, b'"', b"[" * 3000, b"9" * 400, b"e999")):
        for at in range(50 + number, len(raw), len(raw) // 12):
            path.write_bytes(raw[:at] + put + raw[at + len(put) * (number % 2) :])
            with contextlib.suppress(PresatError):
                for run in open_runs(path):
                    summarise(run)


def test_two_events_folders_are_two_runs(tmp_path):
    for name in ("seed0", "seed1"):
        shutil.copytree(LOGS / "tensorboard", tmp_path / "runs" / name)
    assert [run.name for run in open_runs(tmp_path)] == ["seed0", "seed1"]


def test_a_record_that_crosses_blocks_is_put_together(tmp_path):
    """W&B's log has blocks of 32 KiB; a long text in the history fills one."""
    raw = next(LOGS.glob("offline-run-*/*.wandb")).read_bytes()
    item = b'"' + b"x" * 70_000 + b'"'

    def field(number, data):
        size, out = len(data), bytearray()
        for value in (number << 3 | 2, size):
            while value > 127:
                out.append(value & 127 | 128)
                value >>= 7
            out.append(value)
        return bytes(out) + data

    def entry(name, value):
        return field(1, field(2, name) + field(16, value))

    record = field(2, entry(b"note", item) + entry(b"train/reward", b"0.5") + entry(b"train/global_step", b"13"))
    at, first = len(raw), True
    while record:
        left = 32768 - at % 32768 - 7
        piece, record = record[:left], record[left:]
        kind = (1 if not record else 2) if first else (4 if not record else 3)
        raw += bytes(4) + len(piece).to_bytes(2, "little") + bytes([kind]) + piece
        at, first = len(raw), False
    path = tmp_path / "run-1.wandb"
    path.write_bytes(raw)
    assert open_run(path).train_rewards().tolist() == [*REWARD, 0.5]


# --- consoles and files of other trainers ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["trl.log", "trl_fast.log"])
def test_trls_console_is_read_between_its_progress_bars(name):
    run = open_run(LOGS / name)
    assert run.kind == "log"
    assert run.values["reward"] == {2: 0.4, 4: 0.7, 6: 1.0, 8: 1.0, 10: 1.0, 12: 1.0}
    assert run.eval_series("eval", "reward")[0].tolist() == [0, 12]
    assert math.isnan(run.series("kl")[1][0])


def test_trls_console_without_bars_counts_its_lines_and_says_so(tmp_path):
    line = "{{'loss': 0.1, 'grad_norm': 0.5, 'reward': {}, 'epoch': 0.1}}\n"
    text = "{'lr': 1e-6}\nloading\n" + "".join(line.format(s / 10) for s in range(1, 6))
    run = open_run(save(tmp_path / "a.log", text + "{'eval_reward': 0.5, 'eval_runtime': 1.0, 'epoch': 1.0}\n"))
    assert run.train_rewards().tolist() == [0.1, 0.2, 0.3, 0.4, 0.5]
    assert run.values["eval/eval/reward"] == {5: 0.5}
    assert "name no steps" in noted(run)
    torn = open_run(save(tmp_path / "b.log", text + "{'loss': 0.1, 'reward': 0."))
    assert torn.train_rewards().size == 5
    assert "has no end" in noted(torn)


def test_several_sets_of_a_console_are_told_apart(tmp_path):
    text = "{'loss': 0.1, 'reward': 0.5}\n{'eval_math_loss': 0.0, 'eval_reward': 0.3, 'eval_math_runtime': 1.0}\n"
    run = open_run(save(tmp_path / "a.log", text + "{'eval_reward': 0.4, 'eval_amc_runtime': 1.0}\n"))
    assert run.eval_sets() == ["amc", "math"]
    assert run.values["eval/math/reward"] == {1: 0.3}


def swift(step, **more):
    return {"global_step/max_steps": f"{step}/4", "percentage": "25%", "elapsed_time": "1m", "remaining_time": "3m",
            "memory(GiB)": 27.95, "train_speed(s/it)": 319.2, "epoch": 0.1, **more}  # fmt: skip


def test_ms_swifts_log_names_its_steps_as_parts(tmp_path):
    path = rows(
        tmp_path / "v0" / "logging.jsonl",
        *(swift(s, loss=0.1, reward=s / 10, reward_std=0.5, frac_reward_zero_std=0.0) for s in range(1, 5)),
        swift(4, eval_loss=0.0, eval_reward=0.6, eval_runtime=1.0),
    )
    for run in (open_run(path), open_run(path.parent)):
        assert run.train_rewards().tolist() == [0.1, 0.2, 0.3, 0.4]
        assert run.values["eval/eval/reward"] == {4: 0.6}
        assert len(run.notes) == 1  # of what the held-out score is
    text = "Train:  25%|##  | 1/4 [00:10<00:30]\r{'loss': '0.1', 'reward': '0.3', 'global_step/max_steps': '1/4'}\n"
    assert open_run(save(tmp_path / "swift.log", text)).train_rewards().tolist() == [0.3]


def test_openrlhfs_console_and_metrics(tmp_path):
    line = "(PPOTrainer) ppo_trainer.py:547] ✨ Global step {}: {{'response_length': 40.4, 'reward': {}}}\n"
    run = open_run(save(tmp_path / "a.log", "".join(line.format(s, s / 10) for s in (1, 2, 3))))
    assert run.train_rewards().tolist() == [0.1, 0.2, 0.3]
    assert run.series("completions/mean_length")[1].tolist() == [40.4] * 3
    history = [
        {"train/reward": 0.5, "train/kl": 0.0, "train/global_step": 1, "_step": 0},
        {"eval/eval_math_pass1": 0.2, "eval/eval_math_pass8": 0.4, "eval/global_step": 1, "_step": 1},
    ]
    exported = open_run(rows(tmp_path / "h.jsonl", *history))
    assert exported.values["eval/math/score"] == {1: 0.2}
    assert exported.values["eval/math/pass@8"] == {1: 0.4}


def test_slimes_console_counts_from_0(tmp_path):
    stamp = "\x1b[36m(RolloutManager pid=2)\x1b[0m [2026-09-02 18:00:00 rank0] log_utils.py:259 - "
    text = f"{stamp}eval 0: {{'eval/aime': 0.1, 'eval/aime-truncated_ratio': 0.5}}\n"
    for k in range(4):
        text += f"{stamp}rollout {k}: {{'rollout/raw_reward': np.float64(0.{k + 1}), 'rollout/rewards': 0.0}}\n"
        text += f"{stamp}step {k}: {{'train/loss': 0.01, 'train/grad_norm': 0.5, 'train/step': {k}}}\n"
    text += f"{stamp}eval 3: {{'eval/aime': 0.3}}\n"
    run = open_run(save(tmp_path / "a.log", text))
    assert run.train_rewards().tolist() == [0.1, 0.2, 0.3, 0.4]
    assert run.values["eval/aime/score"] == {0: 0.1, 4: 0.3}
    assert run.eval_sets() == ["aime"]
    assert "counts training steps from 0" in noted(run)


def test_prime_rls_history_counts_from_0(tmp_path):
    lines = [{"step": 0, "eval/aime/avg@4": 0.1, "eval/aime/pass@4": 0.2, "eval/aime/completion_len/mean": 100.0}]
    lines += [{"step": k, "reward/all/mean": k / 10, "solve_none/all": 0.5, "seq_len/all/mean": 9.0} for k in range(3)]
    run = open_run(rows(tmp_path / "a.jsonl", *lines))
    assert run.train_rewards().tolist() == [0.0, 0.1, 0.2]
    assert run.values["eval/aime/avg@4"] == {0: 0.1}
    assert run.held_out()[:2] == ("aime", "avg@4")


# --- held-out scores and proxies -------------------------------------------------------------------------------------


def trl_state(*history):
    return json.dumps({"global_step": 3, "max_steps": 3, "log_history": list(history)})


def test_true_accuracy_is_the_held_out_score_and_a_proxy_never(tmp_path):
    """presat's own TRLReward: the vote on the evaluation set rises, true accuracy beside it falls."""
    trained = [{"step": s, "loss": 0.0, "reward": 0.2 + 0.25 * s} for s in (1, 2, 3)]
    both = [
        {
            "step": s,
            "eval_reward": r,
            "eval_rewards/majority_vote/mean": r,
            "eval_labels/gold_accuracy": g,
            "eval_runtime": 1.0,
        }
        for s, r, g in ((0, 0.3, 0.5), (3, 0.9, 0.3))
    ]
    run = open_run(save(tmp_path / "both" / "trainer_state.json", trl_state(both[0], *trained, both[1])))
    assert run.held_out()[:2] == ("eval", "gold_accuracy")
    assert run.held_out()[3].tolist() == [0.5, 0.3]
    assert "labels/gold_accuracy" not in run.names()  # that is of training
    bare = [{name: value for name, value in row.items() if "gold" not in name} for row in both]
    proxy = open_run(save(tmp_path / "proxy" / "trainer_state.json", trl_state(bare[0], *trained, bare[1])))
    assert proxy.held_out() is None
    assert "On eval only a proxy was logged (majority_vote), which is no held-out score." in noted(proxy)
    assert summarise(proxy).verdict.label == "trained, not evaluated"
    other = [{name.replace("majority_vote", "mine"): value for name, value in row.items()} for row in bare]
    unknown = open_run(save(tmp_path / "other" / "trainer_state.json", trl_state(other[0], *trained, other[1])))
    assert unknown.held_out()[:2] == ("eval", "reward")
    assert "is its mean reward" in noted(unknown)
    assert "(mine)" in noted(unknown)
    named = open_run(tmp_path / "other", columns={"eval": "eval_rewards/mine/mean"})
    assert named.held_out()[:2] == ("eval", "score")
    assert "is its mean reward" not in noted(named)


def test_true_accuracy_is_found_in_each_of_several_sets(tmp_path):
    history = [
        {"step": 0, "eval_reward": 0.9, "eval_labels/gold_accuracy": 0.3, f"eval_{name}_runtime": 1.0} for name in "ab"
    ]
    run = open_run(save(tmp_path / "trainer_state.json", trl_state(*history, {"step": 1, "reward": 0.5})))
    assert [run.scores(name)[0] for name in "ab"] == ["gold_accuracy"] * 2


# --- sums of rewards ------------------------------------------------------------------------------------------------


def summed(step, right, manners, prefix="", std=lambda mean: (mean * (1 - mean)) ** 0.5):
    """A row of a TRL log with two reward functions, weighted 0.5 and 0.5: the sum lies within 0 and 1."""
    found = {"step": step, f"{prefix}reward": 0.5 * right + 0.5 * manners}
    for name, mean in (("correctness_reward_func", right), ("soft_format_reward_func", manners)):
        found |= {f"{prefix}rewards/{name}/mean": mean, f"{prefix}rewards/{name}/std": std(mean)}
    return found | ({f"{prefix}runtime": 1.0} if prefix else {})


def test_a_sum_of_rewards_is_no_share_and_its_part_of_two_values_is_the_accuracy(tmp_path):
    """The format is learned and right answers are lost: the sum rises."""
    trained = [summed(s, 0.5 - 0.02 * s, 0.05 * s) for s in range(1, 19)]
    history = [summed(0, 0.5, 0.1, "eval_"), *trained, summed(18, 0.1, 0.95, "eval_")]
    run = open_run(save(tmp_path / "trainer_state.json", trl_state(*history)))
    assert not run.reward_is_share()
    assert run.values["labels/gold_accuracy"][18] == pytest.approx(0.14)
    assert run.held_out()[:2] == ("eval", "accuracy")
    assert run.held_out()[3].tolist() == [0.5, 0.1]
    assert "weighted sum of correctness_reward_func, soft_format_reward_func, and no share" in noted(run)
    found = summarise(run)
    assert found.verdict.label == "collapsed"
    assert "Held-out accuracy on eval fell from 0.50" in found.verdict.sentence
    assert not found.reward_is_share


def test_a_sum_without_a_part_of_two_values_is_no_held_out_score(tmp_path):
    def spread(mean):
        return mean / 3

    history = [summed(0, 0.5, 0.1, "eval_", spread), *(summed(s, 0.3, 0.05 * s, std=spread) for s in (1, 2, 3))]
    run = open_run(save(tmp_path / "trainer_state.json", trl_state(*history, summed(3, 0.3, 0.5, "eval_", spread))))
    assert run.held_out() is None
    assert "labels/gold_accuracy" not in run.names()
    assert "which is no held-out score. Is one of its parts true accuracy?" in noted(run)
    named = open_run(tmp_path, columns={"eval": "eval_rewards/correctness_reward_func/mean"})
    assert named.held_out()[3].tolist() == [0.5, 0.3]


OTHER_PARTS = [
    "incorrect", "wrong_answer", "has_boxed", "boxed_reward", "answer_present", "answer_extracted", "mentions_answer",
    "contains_number", "no_refusal", "english_only", "proxy", "self_consistency", "vote_correct",
    "pseudo_label_correct", "noisy_label_accuracy", "weak_accuracy", "soft_correct", "reward_model_binary",
    "majority_vote", "X",
]  # fmt: skip


@pytest.mark.parametrize(
    "part", [*OTHER_PARTS, "accuracy_reward", "correctnessReward", "exact_match", "answer_correct"]
)
def test_only_a_part_that_says_it_pays_right_answers_is_the_accuracy(tmp_path, part):
    history = []
    for step in range(1, 31):
        right = 0.1 + 0.025 * step
        row = {"step": step, "reward": 1.5 * right, f"rewards/{part}/mean": right}
        row |= {f"rewards/{part}/std": (right * (1 - right)) ** 0.5, "rewards/length_penalty/mean": right / 2}
        history.append(row | {"rewards/length_penalty/std": 0.1})
    run = open_run(save(tmp_path / "trainer_state.json", trl_state(*history)))
    assert ("labels/gold_accuracy" in run.values) == (part not in OTHER_PARTS)
    assert run.held_out() is None
    assert ("Say so: --columns labels/gold_accuracy COLUMN" in noted(run)) == (part in OTHER_PARTS)


def test_a_part_that_pays_2_is_the_accuracy_and_a_sum_alone_is_no_score(tmp_path):
    """The demo of TRL pays 2 for a right answer; its accuracy never moves, and the format is learned."""
    history = [{"step": 0, "eval_reward": 0.9, "eval_runtime": 1.0}]
    for step in range(1, 31):
        row = {
            "step": step,
            "reward": 0.4 + 0.03 * step + 0.001 * (step % 3),
            "rewards/format_reward/mean": 0.03 * step,
        }
        history.append(row | {"rewards/format_reward/std": 0.1, "rewards/correctness_reward_func/mean": 0.4,
                              "rewards/correctness_reward_func/std": 0.8})  # fmt: skip
    history.append({"step": 30, "eval_reward": 1.3, "eval_runtime": 1.0})
    run = open_run(save(tmp_path / "trainer_state.json", trl_state(*history)))
    assert set(run.values["labels/gold_accuracy"].values()) == {0.2}
    assert "correctness_reward_func takes the values 0 and 2 and is read as true accuracy" in noted(run)
    assert run.held_out() is None
    assert "alone was logged, which is no held-out score" in noted(run)
    assert summarise(run).verdict.label == "hacked its reward"


def test_the_accuracy_part_of_an_evaluation_is_its_score_and_said(tmp_path):
    lines = "".join(f"{s},{0.3 + 0.05 * s},{0.3 + 0.04 * s}\n" for s in range(11))
    for part, metric in (("accuracy_reward", "accuracy"), ("format_reward", None)):
        header = f"train/global_step,r1 - train/reward,r1 - eval/rewards/{part}/mean\n"
        run = open_run(save(tmp_path / f"{part}.csv", header + lines))
        found = run.held_out()
        assert (found and found[1]) == metric
        assert ("The held-out score of eval is its reward accuracy_reward" in noted(run)) == (metric is not None)


def test_columns_of_a_test_set_are_its_scores(tmp_path):
    header = "step,reward,val_accuracy,validation_acc,test_score,train_accuracy\n"
    run = open_run(save(tmp_path / "a.csv", header + "".join(f"{s},0.{s},0.5,0.4,0.3,0.9\n" for s in range(5))))
    assert run.held_out_sets() == ["val", "validation", "test"]
    assert [run.scores(name)[0] for name in run.held_out_sets()] == ["accuracy", "acc", "score"]
    assert "kept and never judged: train_accuracy" in noted(run)


def test_accuracies_in_percent_are_read_as_shares(tmp_path):
    header = "step,reward,math/accuracy,math/avg@8,other/avg@8,third/acc\n"
    lines = "".join(f"{s},{0.3 + 0.05 * s},{30 + 4 * s},{20 + 4 * s},{2 * s},0.5\n" for s in range(11))
    run = open_run(save(tmp_path / "a.csv", header + lines))
    assert run.eval_series("math", "accuracy")[1].tolist()[:2] == [0.3, 0.34]
    assert run.scores("math")[2].tolist()[:2] == [0.2, 0.24]
    assert run.scores("other")[2].tolist()[:2] == [0.0, 2.0]  # may be a sum of rewards
    assert run.scores("third")[2].tolist()[0] == 0.5
    assert "in percent, and read as shares: math/accuracy, math/avg@8." in noted(run)
    assert summarise(run).verdict.label == "improved"


def test_a_reward_that_is_no_number_is_the_first_note(tmp_path):
    lines = "".join(f"{s},{'nan' if s > 5 else 0.5},1\n" for s in range(1, 11))
    run = open_run(save(tmp_path / "a.csv", f"step,reward,what_is_this\n{lines}"))
    assert run.notes[0].startswith("The reward is not a number (NaN) from step 6 on")


def test_a_sum_in_each_of_several_sets_and_in_a_tracker(tmp_path):
    history = [summed(s, 0.4, 0.1 * s, "eval_math_") | summed(s, 0.4, 0.1 * s) for s in (1, 2)]
    run = open_run(save(tmp_path / "trainer_state.json", trl_state(*history)))
    assert run.scores("math")[0] == "accuracy"
    tracked = [
        {("train/" if not name.startswith("eval_") else "") + name.replace("eval_", "eval/"): value
         for name, value in (summed(s, 0.4, 0.1 * s) | summed(s, 0.4, 0.1 * s, "eval_")).items() if "step" not in name}
        | {"train/global_step": s} for s in (1, 2)
    ]  # fmt: skip
    assert open_run(rows(tmp_path / "wandb.jsonl", *tracked)).held_out()[:2] == ("eval", "accuracy")


def test_a_clip_ratio_stands_under_our_name(tmp_path):
    said = "step:{0} - critic/score/mean:0.1 - actor/pg_clipfrac:0.0{0} - response_length/clip_ratio:0.{0}\n"
    run = open_run(save(tmp_path / "verl.log", "".join(said.format(step) for step in (1, 2))))
    assert run.values["clip_ratio/region_mean"] == {1: 0.01, 2: 0.02}
    assert run.values["completions/clipped_ratio"] == {1: 0.1, 2: 0.2}


# --- two-valued rewards ----------------------------------------------------------------------------------------------


def verl_line(step, mean, low=-1.0, high=1.0):
    return f"step:{step} - critic/score/mean:{mean} - critic/score/min:{low} - critic/score/max:{high}\n"


def test_verls_rewards_of_minus_one_and_one_are_read_as_shares(tmp_path):
    means = [-0.8, -0.4, 0.0, 0.4, 0.8, *[0.9] * 15]
    text = "".join(verl_line(s, mean) for s, mean in enumerate(means, 1))
    run = open_run(save(tmp_path / "a.log", text))
    assert run.train_rewards().tolist() == pytest.approx([(mean + 1) / 2 for mean in means])
    assert "The reward takes the values -1 and 1; it is read as the share of 1." in run.notes
    assert summarise(run).t_sat == 6
    assert run.series("critic/score/min")[1].tolist() == [-1.0] * 20  # the rest stays


def test_an_export_of_minus_one_and_one_is_read_as_a_share_too(tmp_path):
    names = ",".join(f"qwen - critic/score/{what}" for what in ("mean", "min", "max"))
    lines = "".join(f"{s},0.{s},-1,1\n" for s in range(1, 10))
    run = open_run(save(tmp_path / "w.csv", f"Step,{names}\n{lines}"))
    assert run.train_rewards().tolist() == pytest.approx([(1 + s / 10) / 2 for s in range(1, 10)])


def test_other_rewards_below_0_stay_as_they_are_and_the_way_out_is_said(tmp_path):
    means = [-0.8, -0.4, 0.0, *[0.9] * 9]
    varied = "".join(verl_line(s, mean, low=-1.0 - s / 100) for s, mean in enumerate(means, 1))
    run = open_run(save(tmp_path / "a.log", varied))
    assert run.train_rewards().tolist() == means
    assert "below 0 at 2 steps" in noted(run)
    only = save(tmp_path / "b.csv", "step,reward\n" + "".join(f"{s},{mean}\n" for s, mean in enumerate(means, 1)))
    assert open_run(only).train_rewards().tolist() == means
    told = open_run(only, reward_values=(-1, 1))
    assert told.train_rewards().tolist() == pytest.approx([(mean + 1) / 2 for mean in means])
    assert "below 0" not in noted(told)
    with pytest.raises(RunError, match=r"mean reward of step 1 is -0.8, which no share of 0 and 1 makes"):
        open_run(only, reward_values=(0, 1))


def test_any_two_values_of_enough_steps_are_a_share(tmp_path):
    run = open_run(save(tmp_path / "a.log", "".join(verl_line(s, 0.1 * s, 0.0, 2.0) for s in range(1, 11))))
    assert run.train_rewards().tolist() == pytest.approx([0.05 * s for s in range(1, 11)])
    few = open_run(save(tmp_path / "b.log", "".join(verl_line(s, 0.1 * s, 0.0, 2.0) for s in range(1, 4))))
    assert few.train_rewards().tolist() == pytest.approx([0.1, 0.2, 0.3])  # too few to tell
    shares = open_run(save(tmp_path / "c.log", "".join(verl_line(s, 0.1 * s, 0.0, 1.0) for s in range(1, 11))))
    assert shares.notes == []


def response(step, score, n=0):
    return {"input": f"q{n % 2}", "output": "a", "gts": "4", "score": score, "step": step}


def test_dumps_of_two_valued_scores_are_shares_and_a_null_score_is_missing(tmp_path):
    for step, scores in ((1, [-1, -1, 1, None]), (2, [1, 1, 1, -1])):
        rows(tmp_path / "train" / f"{step}.jsonl", *(response(step, score, n) for n, score in enumerate(scores)))
    run = open_run(tmp_path / "train")
    assert run.train_rewards().tolist() == pytest.approx([1 / 3, 3 / 4])
    assert "1 of 8 responses have no finite score: they count as missing, not as 0." in run.notes
    assert run.rollouts("train")["reward"].to_list()[:4] == [-1.0, -1.0, 1.0, None]
    rows(tmp_path / "val" / "0.jsonl", *(response(0, score, n) for n, score in enumerate([-1, -1, 1, -1])))
    held = open_run(tmp_path / "val")
    assert held.eval_series("val", "avg@2")[1].tolist() == [0.25]
    assert held.rollouts("eval")["score"].to_list() == [0.0, 0.0, 1.0, 0.0]


# --- TRL's completions -----------------------------------------------------------------------------------------------


def completions(folder, step, rewards, **more):
    folder.mkdir(parents=True, exist_ok=True)
    count = len(rewards)
    table = {
        "step": [step] * count,
        "prompt": [[{"role": "user", "content": f"question {i % 2}"}] for i in range(count)],
        "completion": [[{"role": "assistant", "content": f"answer {i}"}] for i in range(count)],
        "accuracy": rewards,
        **more,
        "advantage": [0.5] * count,
    }
    pl.DataFrame(table).write_parquet(folder / f"completions_{step:05d}.parquet")


def test_trls_completions_are_the_responses_of_its_run(tmp_path):
    history = [{"step": s, "reward": 0.5, "rewards/accuracy/mean": 0.5} for s in (1, 2)]
    history.append({"step": 2, "eval_reward": 0.5, "eval_runtime": 1.0})
    save(tmp_path / "trainer_state.json", trl_state(*history))
    for step in (1, 2):
        completions(tmp_path / "completions", step, [1.0, 0.0, None, 1.0], length=[3.0, 4.0, 5.0, 6.0])
    run = open_run(tmp_path)
    assert run.rollout_steps("train") == [1]
    assert "1 file of completions/ left out: at a step with an evaluation" in noted(run)
    frame = run.rollouts("train")
    assert frame["reward"].to_list() == [1.0, 0.0, None, 1.0]  # the logged `length` is no reward
    assert frame["prompt"].to_list()[:2] == ["question 0", "question 1"]
    assert frame["text"][3] == "answer 3"
    assert frame["sample"].to_list() == [0, 0, 1, 1]
    assert frame["problem_id"].n_unique() == 2
    assert frame["score"].null_count() == 4
    assert frame["advantage"].to_list() == [0.5] * 4
    summarise(run)


def test_completions_alone_give_the_reward_too(tmp_path):
    completions(tmp_path, 1, [-1.0, -1.0, 1.0, None])
    completions(tmp_path, 3, [1.0, 1.0, 1.0, -1.0])
    run = open_run(tmp_path)
    assert run.kind == "completions"
    assert run.values["reward"] == {1: pytest.approx(1 / 3), 3: 0.75}
    completions(tmp_path, 4, [1.0, math.inf])
    run = open_run(tmp_path)
    assert run.values["reward"][4] == 1.0
    assert run.not_finite == {"reward": {4}}


# --- the documentation -----------------------------------------------------------------------------------------------


def test_every_layout_of_the_documentation_names_a_test_that_is_here():
    text = (Path(__file__).parents[2] / "docs" / "reports.md").read_text()
    section = text.split("## Other trainers' runs")[1].split("\n## ")[0]
    table = [line for line in section.splitlines() if re.match(r"\| [^-]", line)][1:]
    assert len(table) >= 15
    sources = "".join(file.read_text() for file in Path(__file__).parent.glob("test_*.py"))
    for line in table:
        name = re.search(r"`(test_\w+)`", line)
        assert name, line
        assert f"def {name.group(1)}(" in sources, line
