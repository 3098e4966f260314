"""Reading other trainers' runs. The log lines are of verl's and TRL's shape, with numbers made up here."""

import json
import math

import pytest

from presat.errors import RunError
from presat.tracking import Run, open_run
from presat.tracking.readers.aliases import our_name

CYAN, RESET = "\x1b[36m", "\x1b[0m"
RAY = f"{CYAN}(TaskRunner pid=4711){RESET} "

CONSOLE = f"""started at 08:24
{RAY}("Initial validation metrics: {{'val-core/openai/gsm8k/acc/mean@16': np.float64(0.25)}}")
{RAY}step:0 - val-core/openai/gsm8k/acc/mean@16:np.float64(0.25) - val-aux/openai/gsm8k/reward/std@16:0.4
(main_task pid=12) step:1 - training/global_step:1 - critic/score/mean:0.10 - critic/rewards/mean:0.09 - actor/lr:1e-06
Training: 1%|#   | 1/99\r{RAY}step:2 - timing_s/step:12.5 - critic/score/mean:np.float32(0.5) - actor/kl_loss:nan
step:3 - critic/score/mean:7e-1 - val-core/openai/gsm8k/acc/mean@16:0.5 - val-core/openai/gsm8k/acc/best@16/mean:0.75
step:3 - critic/score/mean:0.75 - note:text - val-core/openai/gsm8k/acc/maj@16/mean:0.6
a line about timing_s/step:12 that is none of these
"""


def lines(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_verl_console_log(tmp_path):
    log = tmp_path / "qwen.log"
    log.write_text(CONSOLE)
    run = open_run(log)
    assert (run.kind, run.name) == ("verl", "qwen")
    assert run.train_rewards().tolist() == [0.1, 0.5, 0.75]
    assert run.eval_sets() == ["openai/gsm8k"]
    steps, values = run.eval_series("openai/gsm8k", "avg@16")
    assert (steps.tolist(), values.tolist()) == ([0, 3], [0.25, 0.5])
    assert run.eval_series("openai/gsm8k", "maj@16")[1].tolist() == [0.6]
    assert run.series("learning_rate")[1].tolist() == [1e-6]
    assert math.isnan(run.series("kl")[1][0])
    assert run.series("critic/rewards/mean")[1].tolist() == [0.09]  # after the KL penalty; kept beside
    assert "note" not in run.names()
    assert run.notes == [
        "What is no number in qwen.log was left out: note (text once).",
        "qwen.log logs step 3 more than once; the last value counts.",
        "best@k is verl's bootstrap with replacement, which is lower than the unbiased pass@k.",
    ]
    assert run.curves().gains("openai/gsm8k/avg@16").t_sat is None  # three steps: nothing before the tail


def test_a_log_that_trains_from_step_0_is_shifted(tmp_path):
    (tmp_path / "old.txt").write_text(
        "step:0 - critic/rewards/mean:0.004 - timing/gen:21\nstep:1 - critic/rewards/mean:0.1\n"
    )
    run = open_run(tmp_path / "old.txt")
    assert run.train_rewards().tolist() == [0.004, 0.1]
    assert "shifted by one" in run.notes[0]


def test_verl_file_log_with_a_torn_end(tmp_path):
    path = lines(
        tmp_path / "gsm8k.jsonl",
        [
            {"step": 0, "data": {"val-core/math/acc/mean@4": 0.2}},
            {"step": 1, "data": {"critic/score/mean": 0.3, "actor/entropy": 1.5, "text": "x"}},
        ],
    )
    path.write_text(path.read_text() + '{"step": 2, "da')
    run = open_run(path)
    assert run.kind == "verl"
    assert run.names() == ["entropy", "eval/math/avg@4", "reward"]
    assert "torn" in run.notes[0]


def dump(step, scores, prompts=2, **more):
    return [
        {"input": f"question {i % prompts}", "output": f"answer {i}", "gts": "4", "score": score, "step": step, **more}
        for i, score in enumerate(scores)
    ]


def test_verl_rollouts_give_rewards_and_responses(tmp_path):
    for step, scores in ((1, [0, 0, 0, 1]), (2, [1, 0, 1, 1]), (10, [1, 1, 1, 1])):
        lines(tmp_path / "rollouts" / f"{step}.jsonl", dump(step, scores))
    run = open_run(tmp_path / "rollouts")
    assert run.kind == "rollouts"
    assert run.series("reward")[0].tolist() == [1, 2, 10]
    assert run.series("reward")[1].tolist() == [0.25, 0.75, 1.0]
    assert "labels/gold_accuracy" not in run.names()  # a score of 0 or 1 may be a proxy's
    frame = run.rollouts("train")
    assert frame.height == 12
    assert frame["step"].to_list() == [1] * 4 + [2] * 4 + [10] * 4
    assert frame["sample"].to_list()[:4] == [0, 0, 1, 1]
    assert frame["problem_id"].n_unique() == 2
    assert frame["gold"][0] == "4"
    assert run.rollouts("eval") is None
    assert run.rollout_steps("train") == [1, 2, 10]
    assert run.rollouts("train", steps=[10])["step"].to_list() == [10] * 4
    single = open_run(tmp_path / "rollouts" / "2.jsonl")
    assert single.series("reward")[1].tolist() == [0.75]


def test_only_an_accuracy_beside_the_score_is_a_verdict_on_training_responses(tmp_path):
    lines(tmp_path / "r" / "1.jsonl", dump(1, [0.1, 1.1, 0.0, 0.1]))
    run = open_run(tmp_path / "r")
    assert run.names() == ["reward"]
    assert run.rollouts("train")["score"].null_count() == 4
    assert "rewards only" in run.notes[0]
    lines(tmp_path / "with_acc" / "1.jsonl", dump(1, [-1.0, 1.0], acc=True, pred="4"))
    judged = open_run(tmp_path / "with_acc")
    assert judged.series("labels/gold_accuracy")[1].tolist() == [1.0]
    assert judged.rollouts("train")["extracted"].to_list() == ["4", "4"]


def test_a_response_cut_within_a_character_is_read(tmp_path):
    lines(tmp_path / "r" / "1.jsonl", [{"input": "q", "output": "well \ud83d", "gts": "4", "score": 1.0, "step": 1}])
    assert open_run(tmp_path / "r").rollouts("train")["text"].to_list() == ["well ?"]


def test_a_verl_folder_is_put_together(tmp_path):
    (tmp_path / "train.log").write_text(CONSOLE)
    (tmp_path / "notes.txt").write_text("nothing of verl's")
    lines(tmp_path / "rollout" / "1.jsonl", dump(1, [0, 1]))
    lines(tmp_path / "validation" / "0.jsonl", dump(0, [0, 1, 1, 1]))
    run = open_run(tmp_path)
    assert run.kind == "verl"
    assert run.train_rewards().tolist() == [0.1, 0.5, 0.75]  # the log's own numbers win
    assert run.eval_sets() == ["openai/gsm8k", "validation"]
    assert run.eval_series("validation", "avg@2")[1].tolist() == [0.75]
    assert run.rollouts("eval")["set"].unique().to_list() == ["validation"]
    assert run.rollouts("train").height == 2
    (tmp_path / "again.log").write_text(CONSOLE)
    with pytest.raises(RunError, match=r"several verl logs \(again.log, train.log\)"):
        open_run(tmp_path)


def test_a_response_without_a_field_is_named(tmp_path):
    lines(tmp_path / "r" / "1.jsonl", [*dump(1, [1]), {"input": "q", "output": "a", "step": 1}])
    with pytest.raises(RunError, match=r"1.jsonl, line 2: a response needs the field `score`"):
        open_run(tmp_path / "r")


STATE = {
    "global_step": 4,
    "max_steps": 4,
    "log_history": [
        {"eval_loss": 0.0, "eval_reward": 0.1, "eval_rewards/accuracy/mean": 0.2, "eval_runtime": 1.0, "step": 0},
        {"loss": 0.0, "reward": 0.2, "rewards/accuracy/mean": 0.2, "kl": None, "epoch": 0.5, "step": 2},
        {"loss": 0.0, "reward": 0.4, "step": 4},
        {"eval_math_loss": 0.0, "eval_reward": 0.3, "eval_math_runtime": 1.0, "step": 4},
        {"eval_amc_loss": 0.0, "eval_reward": 0.5, "eval_amc_runtime": 1.0, "step": 4},
        {"train_runtime": 9.0, "train_loss": 0.1, "step": 4},
    ],
}


def test_trl_output_folder(tmp_path):
    for step, state in ((2, {**STATE, "global_step": 2, "log_history": STATE["log_history"][:2]}), (10, STATE)):
        folder = tmp_path / "out" / f"checkpoint-{step}"
        folder.mkdir(parents=True)
        (folder / "trainer_state.json").write_text(json.dumps({**state, "global_step": min(step, 4)}))
    run = open_run(tmp_path / "out")
    assert (run.kind, run.name, run.status, run.status_reason) == ("trl", "out", "finished", "step 4 of 4")
    assert [str(value) for value in run.train_rewards()] == ["nan", "0.2", "nan", "0.4"]
    assert math.isnan(run.series("kl")[1][0])
    assert run.eval_sets() == ["amc", "eval", "math"]
    assert run.eval_series("math", "reward")[1].tolist() == [0.3]
    assert run.eval_series("amc", "reward")[1].tolist() == [0.5]
    assert run.eval_series("eval", "accuracy")[0].tolist() == [0]
    assert any("checkpoint-10" in note for note in run.notes)
    assert any("every 2 steps" in note for note in run.notes)
    assert open_run(tmp_path / "out" / "checkpoint-2" / "trainer_state.json").train_rewards().size == 2


def test_a_state_without_history_is_refused(tmp_path):
    (tmp_path / "trainer_state.json").write_text('{"global_step": 3}')
    with pytest.raises(RunError, match="no `log_history`"):
        open_run(tmp_path)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv(tmp_path, delimiter):
    table = "step,reward,heldout,math/avg@16,kl\n0,,0.1,0.2,\n1.0,0.25,,,0.01\n\n2,0.5,0.3,0.4,\n".replace(
        ",", delimiter
    )
    path = tmp_path / "run.csv"
    path.write_text(table, encoding="utf-8-sig")
    run = open_run(path, columns={"heldout": "HeldOut"})
    assert run.kind == "csv"
    assert run.train_rewards().tolist() == [0.25, 0.5]
    assert run.eval_sets() == ["heldout", "math"]
    assert run.eval_series("heldout", "score")[0].tolist() == [0, 2]
    assert run.eval_series("math", "avg@16")[1].tolist() == [0.2, 0.4]
    assert run.series("kl")[1].tolist() == [0.01]


def test_a_tracker_export(tmp_path):
    (tmp_path / "wandb.csv").write_text(
        '"Step","qwen - critic/score/mean","qwen - critic/score/mean__MIN","qwen - val-core/math/acc/mean@16"\n'
        '"1","0.5","0.4","0.2"\n'
    )
    run = open_run(tmp_path / "wandb.csv")
    assert run.names() == ["eval/math/avg@16", "reward"]
    (tmp_path / "two.csv").write_text('"Step","a - reward","b - reward"\n1,0.5,0.4\n')
    with pytest.raises(RunError, match="holds several runs: a, b"):
        open_run(tmp_path / "two.csv")


def test_flat_json_lines(tmp_path):
    run = open_run(lines(tmp_path / "log.jsonl", [{"step": 1, "reward": 0.5, "time": 3}, {"step": 2, "reward": None}]))
    assert run.kind == "csv"
    assert [str(value) for value in run.train_rewards()] == ["0.5", "nan"]
    assert run.names() == ["reward"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch,reward\n1,2\n", "no `step` column. Its columns: epoch, reward"),
        ("step,reward\n1,good\n", "row 2, column `reward`: 'good' is not a number"),
        ("step,reward\n1.5,1\n", "row 2, column `step`: a step must be a whole number"),
        ("", "no `step` column. Its columns: none"),
    ],
)
def test_a_csv_that_cannot_be_used_says_where(tmp_path, text, message):
    (tmp_path / "run.csv").write_text(text)
    with pytest.raises(RunError) as found:
        open_run(tmp_path / "run.csv")
    assert message in str(found.value)


def test_what_is_no_run_is_refused_with_what_was_looked_for(tmp_path):
    with pytest.raises(RunError, match="There is no run at"):
        open_run(tmp_path / "nothing")
    (tmp_path / "README.md").write_text("hello")
    with pytest.raises(RunError, match=r"Looked for: our `metrics.jsonl`; TRL's `trainer_state.json`"):
        open_run(tmp_path)
    with pytest.raises(RunError, match=r"Looked for: a table \(.csv, .tsv\)"):
        open_run(tmp_path / "README.md")
    (tmp_path / "binary.bin").write_bytes(bytes(range(256)) * 40)
    with pytest.raises(RunError, match="holds no run"):
        open_run(tmp_path / "binary.bin")


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("val-core/lighteval/MATH/reward/mean@16", "eval/lighteval/MATH/avg@16"),
        ("val-core/aime/acc/best@32/mean", "eval/aime/best@32"),
        ("val-core/aime/acc/best@32/std", "val-core/aime/acc/best@32/std"),
        ("val-aux/aime/acc/maj@8/mean", "eval/aime/maj@8"),
        ("val-aux/aime/reward/mean@32", "val-aux/aime/reward/mean@32"),
        ("val/test_score/openai/gsm8k", "eval/openai/gsm8k/score"),
        ("response_length/mean", "completions/mean_length"),
        ("completions/mean_length", "completions/mean_length"),
    ],
)
def test_foreign_names(theirs, ours):
    assert our_name(theirs) == ours
    assert our_name(ours) == ours


def test_a_run_as_a_data_frame_has_every_metric_by_step(tmp_path):
    (tmp_path / "run.csv").write_text("step,reward,math/avg@4\n0,,0.25\n1,0.5,\n2,nan,0.75\n")
    run = open_run(tmp_path / "run.csv")
    frame = run.to_frame()
    assert frame.columns == ["step", *run.names()]
    assert frame["step"].to_list() == [0, 1, 2]
    assert frame["eval/math/avg@4"].to_list() == [0.25, None, 0.75]
    for name in run.names():  # what `series` says, and null elsewhere
        steps, values = run.series(name)
        logged = frame.filter(frame[name].is_not_null())
        assert logged["step"].to_list() == steps.tolist()
        assert str(logged[name].to_list()) == str(values.tolist())
    empty = Run(tmp_path, "csv", {}).to_frame()
    assert (empty.columns, empty.height) == (["step"], 0)
