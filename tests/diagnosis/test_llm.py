"""The judge that asks a model, against a real HTTP server: verdicts, faults, limits, and no question twice."""

import importlib.util
import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from tests.diagnosis.chat_server import ChatServer, completion, failure

from presat.config.schema.chat import ChatConfig
from presat.diagnosis import Cost, make_judge
from presat.diagnosis.llm import StrategyJudge
from presat.errors import ConfigError, JudgeError

needs_openai = pytest.mark.skipif(importlib.util.find_spec("openai") is None, reason="openai is not installed")
ROOT = Path(__file__).resolve().parents[2]
FINE = "It holds.\nVERDICT: aligned"


def items(count):
    return [{"prompt": "How many?", "response": f"It is {n}."} for n in range(count)]


def judge_at(server, tmp_path, **options):
    options = {"model": "judge", "retries": 2, "timeout_s": 20, "cache": tmp_path / "cache", **options}
    return make_judge("llm", server=server.url, **options)


def test_without_openai_it_says_what_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(ConfigError, match=r"run `pip install 'presat\[judge\]'`"):
        make_judge("llm", server="http://localhost:1/v1")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "server: should be a server's address"),
        ({"server": "localhost:8000"}, "a server's address"),
        ({"server": "http://me:secret@host/v1"}, "password or a key"),
        ({"server": "http://h/v1", "concurrent": 0}, "concurrent"),
        ({"server": "http://h/v1", "max_calls": -1}, "max_calls"),
        ({"server": "http://h/v1", "timeout_s": float("inf")}, "timeout_s"),
        ({"server": "http://h/v1", "modle": "x"}, "Did you mean 'model'"),
    ],
)
def test_settings_that_cannot_be_are_refused(options, said):
    with pytest.raises(ConfigError, match=said) as refused:
        make_judge("llm", **options)
    assert "secret" not in str(refused.value)


@needs_openai
def test_verdicts_become_labels_and_what_has_none_is_an_abstention_with_its_reason(tmp_path):
    said = ["It holds.\nVERDICT: aligned", "VERDICT: partially aligned", "No.\nVERDICT: misaligned", "I cannot say."]
    with ChatServer(
        lambda question, number: next(a for n, a in enumerate(said) if f"It is {n}." in question)
    ).running() as server:
        judge = judge_at(server, tmp_path)
        found = judge.judge(items(4))
    assert [one.label for one in found] == [1.0, 0.5, 0.0, None]
    assert [one.score for one in found] == [1.0, 0.5, 0.0, None]
    assert found[0].reason == "It holds."
    assert found[3].reason == "The answer does not end with a verdict."
    assert all(one.lasting and one.cost == Cost(100, 1) for one in found)
    assert judge.unread == {"The answer does not end with a verdict.": 1}
    assert judge.identity.startswith("llm/1/judge/")
    assert server.bodies[0]["temperature"] == 0.0


@needs_openai
def test_nothing_is_asked_twice_not_by_another_process_either(tmp_path):
    with ChatServer(lambda question, number: FINE).running() as server:
        first = judge_at(server, tmp_path)
        assert first.estimate(items(3)).calls == 3
        assert first.estimate(items(3)).tokens > 3 * 250
        found = first.judge([*items(3), *items(2)])
        assert len(server.questions) == 3
        again = judge_at(server, tmp_path)
        assert again.estimate(items(3)) == Cost(0, 0)
        assert again.judge(items(3)) == found[:3]
        assert len(server.questions) == 3
        gold = [{**items(1)[0], "gold": "7"}]
        again.judge(gold)  # ours is not shown the gold answer
        assert len(server.questions) == 3
        mine = tmp_path / "mine.md"
        mine.write_text("<<PROMPT>> <<RESPONSE>> <<GOLD>>")
        other = judge_at(server, tmp_path, rubric=mine)
        other.judge(gold)
        assert other.identity != again.identity
        assert "7" in server.questions[3]


@needs_openai
def test_a_kill_in_the_middle_loses_no_answer(tmp_path):
    """The process is killed while the fourth of six answers is on its way; the next one asks for three."""
    script = """
        from tests.diagnosis.test_llm import items, make_judge
        import sys
        judge = make_judge("llm", model="judge", server=sys.argv[1], concurrent=1, cache=sys.argv[2])
        judge.judge(items(6))
    """
    held = []

    def reply(question, number):
        if number == 3 and not held:
            held.append(question)
            process.kill()
            time.sleep(0.3)
        return FINE

    with ChatServer(reply).running() as server:
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(script), server.url, tmp_path / "cache"], cwd=ROOT
        )
        assert process.wait(60) == -9
        log = next((tmp_path / "cache").glob("*.jsonl"))
        with log.open("a") as file:
            file.write('{"key": "torn')
        found = judge_at(server, tmp_path).judge(items(6))
    assert [one.label for one in found] == [1.0] * 6
    answered = [question for question in server.questions if question not in held]
    assert len(answered) == len(set(answered)) == 5
    assert len(log.read_text().splitlines()) == 6


@needs_openai
def test_it_tries_again_after_429_and_500(tmp_path):
    faults = {0: (429, failure("slow down")), 1: (500, "down"), 2: FINE}
    with ChatServer(lambda question, number: faults[number]).running() as server:
        (found,) = judge_at(server, tmp_path).judge(items(1))
    assert found.label == 1.0
    assert len(server.questions) == 3


@needs_openai
@pytest.mark.parametrize(
    "fault",
    [
        (500, failure("down")),
        (200, "{not json"),
        (200, "<html>"),
        (200, "[]"),
        (200, {"choices": []}),
        (200, {"choices": None}),
        (200, completion(None)),
        (400, failure("too long")),
        (422, failure("too long")),
    ],
)
def test_a_question_without_an_answer_is_an_abstention_that_does_not_last(fault, tmp_path):
    with ChatServer(lambda question, number: fault if "It is 1." in question else FINE).running() as server:
        found = judge_at(server, tmp_path, retries=0).judge(items(3))
        assert [one.label for one in found] == [1.0, None, 1.0]
        assert not found[1].lasting
        assert "server" in found[1].reason
        server.reply = lambda question, number: FINE
        assert judge_at(server, tmp_path).judge(items(3))[1].label == 1.0


@needs_openai
def test_a_server_that_hangs_is_left_after_the_time_out(tmp_path):
    with ChatServer(
        lambda question, number: time.sleep(1.5) or FINE if "It is 0." in question else FINE
    ).running() as server:
        found = judge_at(server, tmp_path, timeout_s=0.4, retries=0).judge(items(2))
    assert found[0].reason == "The server did not answer within 0.4 s."
    assert found[1].label == 1.0


@needs_openai
def test_a_cut_answer_is_no_verdict_and_asked_again_with_more_room(tmp_path):
    with ChatServer(lambda question, number: (200, completion("VERDICT: aligned", "length"))).running() as server:
        (found,) = judge_at(server, tmp_path, max_tokens=5).judge(items(1))
        assert (found.label, found.lasting) == (None, False)
        assert "cut off" in found.reason
        judge_at(server, tmp_path, max_tokens=5).judge(items(1))
        assert len(server.questions) == 1
        judge_at(server, tmp_path, max_tokens=50).judge(items(1))
        assert len(server.questions) == 2


@needs_openai
@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ((401, failure("Incorrect API key provided: sk-abcdef0123456789abcdef")), "refuses the key"),
        ((403, failure("no")), "PRESAT_JUDGE_KEY or OPENAI_API_KEY"),
        ((404, failure("no such model")), "has no model 'judge'"),
        ((500, failure("down")), "answered no question"),
        ((200, "<html>"), "answered no question"),
    ],
)
def test_a_server_that_is_none_is_one_sentence(reply, said, tmp_path):
    with (
        ChatServer(lambda question, number: reply).running() as server,
        pytest.raises(JudgeError, match=said) as refused,
    ):
        judge_at(server, tmp_path, retries=0).judge(items(2))
    assert "abcdef0123456789" not in str(refused.value)


@needs_openai
def test_a_server_that_dies_ends_the_work_and_what_it_said_is_kept(tmp_path):
    with ChatServer(lambda question, number: FINE if number < 4 else (503, failure("dying"))).running() as server:
        judge = judge_at(server, tmp_path, concurrent=2, retries=0)
        with pytest.raises(JudgeError, match="5 questions in a row"):
            judge.judge(items(40))
        assert len(server.questions) <= 4 + 5 + 2
        assert judge.estimate(items(40)).calls == 36
        server.reply = lambda question, number: FINE
        assert all(one.label == 1.0 for one in judge.judge(items(39)))
    with pytest.raises(JudgeError, match="No server answers"):
        judge_at(server, tmp_path, retries=0).judge(items(40))


@needs_openai
def test_a_dead_server_is_told_over_many_small_calls_too(tmp_path):
    with ChatServer(lambda question, number: FINE if number < 2 else (503, failure("dead"))).running() as server:
        judge = judge_at(server, tmp_path, concurrent=4, retries=0)
        for first in range(0, 8, 2):
            judge.judge(items(40)[first : first + 2])
        with pytest.raises(JudgeError, match=r"[78] questions in a row"):
            judge.judge(items(40)[8:10])
    assert len(server.questions) <= 2 + 8


@needs_openai
def test_questions_that_are_too_long_are_not_a_dead_server(tmp_path):
    def reply(question, number):
        return FINE if "It is 0." in question else (400, failure("too long"))

    with ChatServer(reply).running() as server:
        judge = judge_at(server, tmp_path, concurrent=1)
        found = judge.judge(items(30))
    assert [one.label for one in found] == [1.0, *[None] * 29]


@needs_openai
def test_no_more_is_asked_than_allowed_and_no_more_at_a_time(tmp_path):
    with ChatServer(lambda question, number: time.sleep(0.05) or FINE).running() as server:
        found = judge_at(server, tmp_path, max_calls=7, concurrent=3).judge(items(12))
        assert len(server.questions) == 7
        assert server.most == 3
        assert sum(one.label == 1.0 for one in found) == 7
        rest = [one for one in found if one.label is None]
        assert all(not one.lasting and "max_calls" in one.reason and one.cost == Cost() for one in rest)
        judge_at(server, tmp_path, max_calls=7).judge(items(12))  # what is known does not count
        assert len(server.questions) == 12


@needs_openai
def test_the_key_comes_from_the_environment_and_goes_nowhere_else(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "first-of-the-keys")
    monkeypatch.setenv("PRESAT_JUDGE_KEY", "one-for-the-judge")
    with ChatServer(lambda question, number: FINE).running() as server:
        judge_at(server, tmp_path).judge(items(1))
    assert server.keys == ["Bearer one-for-the-judge"]
    assert not any("for-the-judge" in file.read_text() for file in tmp_path.rglob("*") if file.is_file())
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.delenv("PRESAT_JUDGE_KEY")
    with pytest.raises(ConfigError, match="wants a key"):
        make_judge("llm", model="o3", server="https://api.openai.com/v1", cache=tmp_path)


@needs_openai
def test_the_only_model_of_a_server_is_found_and_of_several_one_must_be_named(tmp_path):
    with ChatServer(lambda question, number: FINE).running() as server:
        assert "/judge/" in judge_at(server, tmp_path, model="").identity
        server.models = (200, {"object": "list", "data": [{"id": name, "object": "model"} for name in "ab"]})
        with pytest.raises(JudgeError, match="has 2 models; name one"):
            judge_at(server, tmp_path, model="")
        for reply in ((200, "<html>"), (401, failure("no")), (500, "")):
            server.models = reply
            with pytest.raises(JudgeError, match="models"):
                judge_at(server, tmp_path, model="", retries=0)


@needs_openai
def test_a_model_that_takes_no_temperature_is_asked_without(tmp_path):
    def reply(question, number):
        return (400, failure("Unsupported value", "temperature")) if "temperature" in server.bodies[-1] else FINE

    with ChatServer(reply).running() as server:
        found = judge_at(server, tmp_path, concurrent=1).judge(items(3))
    assert [one.label for one in found] == [1.0] * 3
    assert len(server.questions) == 4


@needs_openai
def test_strategies_are_compared_with_the_same_client(tmp_path):
    def reply(question, number):
        return "VERDICT: same" if question.count("factor") == 2 else "Hm." if "hm" in question else "VERDICT: different"

    with ChatServer(reply).running() as server:
        judge = StrategyJudge(ChatConfig(model="judge", server=server.url, cache=tmp_path))
        assert judge.same_strategy("p", "I factor.", "We factor it.") is True
        assert judge.same_strategies([("p", "I factor.", "By a sum."), ("p", "hm", "x")]) == [False, None]
        assert judge.estimate([("p", "hm", "x"), ("p", "new", "x")]).calls == 1
        assert judge.identity.startswith("llm_strategy/1/judge/")


@needs_openai
def test_the_scripts_measure_it_and_fit_it_with_others(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    row = '{"problem": "How many?", "steps": ["3 + 4 = %d"], "answer_right": true, "first_wrong_step": %d}\n'
    (data / "processbench_math.jsonl").write_text("".join(row % (7 + n // 2 % 2, n // 2 % 2 - 1) for n in range(80)))
    environment = {**os.environ, "PRESAT_CACHE": str(tmp_path / "cache")}
    with ChatServer(lambda question, number: FINE if "= 7" in question else "Hm.").running() as server:
        words = ["--server", server.url, "--model", "judge", "--limit", "24"]
        table, ensemble = (
            subprocess.run(
                [sys.executable, ROOT / "scripts" / script, data, *judges, *words],
                capture_output=True, text=True, check=True, env=environment,
            )
            for script, judges in (
                ("judges.py", ["--judge", "llm"]),
                ("ensemble.py", ["--judges", "symbolic", "llm", "--out", tmp_path / "fit.json"]),
            )
        )  # fmt: skip
    assert "| processbench_math | 24 | 12 | 0.50 | 0.000" in table.stdout
    assert "12 without a label: The answer does not end with a verdict." in table.stdout
    assert "llm/1/judge/" in table.stderr
    assert "2 calls, about" in table.stderr  # of 24: the others say the same
    assert len(server.questions) == 2
    assert "fitted on 24 responses, 12 of them sound" in ensemble.stdout
    assert "over 24 of 24 responses." in ensemble.stdout
    assert [member.split("/")[0] for member in read_members(tmp_path / "fit.json")] == ["symbolic", "llm"]


def read_members(path):
    return [member["identity"] for member in json.loads(path.read_text())["members"]]


SERVE = [sys.executable, "-m", "transformers.cli.transformers", "serve"]


@needs_openai
@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("fastapi") is None, reason="transformers serve needs fastapi")
def test_transformers_serve_speaks_the_protocol(tmp_path):
    """SmolLM2 behind a real server: whatever it says is a label or an abstention with its reason, and kept."""
    import socket
    import urllib.request

    from presat.models import resolve_model

    folder = resolve_model("smollm2-135m")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [*SERVE, str(folder), "--port", str(port), "--device", "cpu"]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "HF_HUB_OFFLINE": "1"})
        try:
            deadline = time.monotonic() + 400
            while True:
                assert process.poll() is None, (tmp_path / "log").read_text()[-3000:]
                assert time.monotonic() < deadline, (tmp_path / "log").read_text()[-3000:]
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                    break
                except OSError:
                    time.sleep(0.3)
            judge = make_judge(
                "llm", model=str(folder), server=f"http://127.0.0.1:{port}/v1", max_tokens=48, cache=tmp_path / "cache"
            )
            found = judge.judge(items(2))
            assert judge.judge(items(2)) == found
        finally:
            process.terminate()
            process.wait(30)
    assert all(one.cost.calls == 1 and one.cost.tokens > 300 and one.reason for one in found)
    assert sum(judge.unread.values()) == 2 * sum(one.label is None for one in found)
