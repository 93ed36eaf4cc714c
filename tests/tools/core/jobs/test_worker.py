import errno
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from tests.toy_jobs import toy_job, wait_until
from tools.core.errors import ModelError, StoppedError
from tools.core.files import write_json
from tools.core.jobs.endings import failure_line, is_out_of_memory
from tools.core.jobs.folder import JobPaths, hold, is_held, last_lines, read_events, read_json
from tools.core.jobs.worker import Outcome, Run, main
from tools.core.library import Kind, Library, new_card, write_card

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Return a run in a folder of its own."""
    folder = tmp_path / "job"
    folder.mkdir()
    write_json(folder / "config.json", {"name": "alone"})
    return Run(JobPaths(folder), {"name": "alone"})


def work(paths: JobPaths, train) -> int:
    """Run a recipe in this process."""
    return main(train, ["--config", str(paths.config)])


def make_model(run: Run, text: str = "weights") -> Path:
    folder = run.folder.result / "model"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "weights.txt").write_text(text)
    return folder


def test_what_is_told_is_there_at_once_with_numbers_of_any_library(run: Run):
    import torch

    run.tell("step", step=np.int64(3), loss=np.float32(0.5), rate=torch.tensor(2.0), rows=np.arange(3), at=Path("x"))
    run.tell("note", text="Über 猫\nund mehr")
    first, second = read_events(run.folder.metrics)
    assert first.pop("time") > 0
    assert first == {"event": "step", "step": 3, "loss": 0.5, "rate": 2.0, "rows": [0, 1, 2], "at": "x"}
    assert second["text"] == "Über 猫\nund mehr"


def test_a_half_written_line_is_left_out(run: Run):
    run.tell("step", step=1)
    with run.folder.metrics.open("a") as stream:
        stream.write('{"event": "step", "st')
    assert [event["step"] for event in read_events(run.folder.metrics)] == [1]
    run.folder.metrics.write_text("[1]\n3\nnull\n{}\n")
    assert read_events(run.folder.metrics) == []
    assert read_events(run.folder.folder / "none") == []


def test_the_newest_checkpoint_counts_and_the_older_ones_go(run: Run):
    assert run.checkpoint() is None
    for step in (5, 10, 10):
        run.save_checkpoint(lambda folder, step=step: (folder / "at").write_text(str(step)), step)
    assert (run.checkpoint() / "at").read_text() == "10"
    assert read_json(run.checkpoint() / "checkpoint.json") == {"step": 10, "metrics_bytes": 0}
    assert [folder.name for folder in run.folder.checkpoint.iterdir()] == ["3"]


def test_a_checkpoint_that_fails_leaves_the_one_before(run: Run):
    run.save_checkpoint(lambda folder: (folder / "at").write_text("5"), 5)

    def fail(folder: Path) -> None:
        (folder / "at").write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        run.save_checkpoint(fail, 10)
    assert (run.checkpoint() / "at").read_text() == "5"
    assert [folder.name for folder in run.folder.checkpoint.iterdir()] == ["1"]


def test_a_resumed_run_forgets_what_was_told_after_the_checkpoint(run: Run):
    for step in range(1, 6):
        run.tell("step", step=step)
        if step == 3:
            run.save_checkpoint(lambda folder: None, step)
    (run.folder.checkpoint / ".2.new").mkdir()  # as a kill leaves it
    (run.folder.checkpoint / "0").mkdir()
    run.rewind()
    assert [event["step"] for event in read_events(run.folder.metrics)] == [1, 2, 3]
    assert [folder.name for folder in run.folder.checkpoint.iterdir()] == ["1"]


def test_without_a_checkpoint_a_resumed_run_begins_anew(run: Run):
    run.tell("step", step=1)
    run.rewind()
    assert read_events(run.folder.metrics) == []


def test_a_request_to_end_is_noticed(run: Run):
    run.check_stop()
    run.folder.stop.touch()
    with pytest.raises(StoppedError, match="checkpoint is kept"):
        run.check_stop()


def test_only_the_first_rank_writes(run: Run):
    second = Run(run.folder, run.config, rank=1, world_size=2)
    second.tell("step", step=1)
    second.save_checkpoint(lambda folder: None, 1)
    assert not run.folder.metrics.exists() and not run.folder.checkpoint.exists()


def test_by_hand_and_without_a_library_the_model_stays_in_the_folder(run: Run):
    line = [sys.executable, "-m", "tests.toy_recipe", "--config", str(run.folder.config)]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "succeeded: The toy wandered about\n")
    assert (run.folder.result / "model" / "weights.npy").exists()
    assert read_json(run.folder.outcome)["folder"] == "result/model"
    again = subprocess.run(line, cwd=ROOT, capture_output=True, text=True)
    assert (again.returncode, again.stdout) == (0, done.stdout), "what is done is not done again"


def test_a_second_worker_ends_at_once(run: Run):
    lock = hold(run.folder.lock)
    line = [sys.executable, "-m", "tests.toy_recipe", "--config", str(run.folder.config)]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and "Another worker is running" in done.stderr
    assert not run.folder.metrics.exists()
    os.close(lock)


def test_a_config_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(lambda run: Outcome(), ["--config", str(tmp_path / "none.json")]) == 2
    assert "There is no file" in capsys.readouterr().err


def test_the_exit_code_and_the_outcome_say_how_it_ended(run: Run):
    def succeed(run: Run) -> Outcome:
        return Outcome(None, {"recall": np.float32(0.5)}, {"at": Path("/x"), "sizes": (1, 2)}, "fine")

    def fail(run: Run) -> Outcome:
        raise ModelError("The model does not fit; choose another")

    def stop(run: Run) -> Outcome:
        raise StoppedError("Cancelled as you asked")

    def interrupt(run: Run) -> Outcome:
        raise KeyboardInterrupt

    for train, code, stage, message in (
        (succeed, 0, "succeeded", "fine"),
        (fail, 1, "failed", "The model does not fit; choose another"),
        (stop, 130, "cancelled", "Cancelled as you asked"),
        (interrupt, 130, "cancelled", "Cancelled from the keyboard"),
    ):
        assert work(run.folder, train) == code
        ended = read_json(run.folder.outcome)
        assert (ended["stage"], ended["message"]) == (stage, message)
        if train is succeed:
            assert (ended["metrics"], ended["parameters"]) == ({"recall": 0.5}, {"at": "/x", "sizes": [1, 2]})
        run.folder.outcome.unlink()


def test_a_model_that_is_no_folder_of_the_job_is_a_failure(run: Run, tmp_path: Path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert work(run.folder, lambda run: Outcome(elsewhere)) == 1
    assert "which is not in" in read_json(run.folder.outcome)["message"]
    run.folder.outcome.unlink()
    assert work(run.folder, lambda run: Outcome(tmp_path / "none")) == 1
    assert "not a folder" in read_json(run.folder.outcome)["message"]


@pytest.mark.parametrize("moment", ["before the model", "after the model"])
def test_a_worker_killed_while_it_published_does_not_train_again_and_makes_one_model(job_library: Library, moment: str):
    job = toy_job(job_library)
    trainings = []

    def train(run: Run) -> Outcome:
        trainings.append(1)
        return Outcome(make_model(run), {"recall": 0.5}, {"epochs": 2}, "fine")

    assert work(job.paths, train) == 0
    ended = read_json(job.paths.outcome)
    job.paths.outcome.unlink()  # as if it had been killed before it wrote its outcome
    if moment == "before the model":
        make_model(Run(job.paths, {}))
        job_library.delete(job_library.find("model/toy-model"))
    write_json(job.paths.ending, ended)
    assert work(job.paths, train) == 0
    assert trainings == [1]
    assert [card.name for card in job_library.cards(Kind.MODEL)] == ["toy-model"]
    assert read_json(job.paths.outcome) == ended
    assert (job_library.folder(Kind.MODEL, "toy-model") / "model" / "weights.txt").read_text() == "weights"
    assert not job.paths.ending.exists() and not job.paths.result.joinpath("model").exists()


def test_a_name_that_was_taken_meanwhile_is_not_overwritten(job_library: Library):
    with job_library.making(Kind.MODEL, "toy-model") as folder:
        write_card(folder, new_card(Kind.MODEL, "toy-model", "somebody else's"))
    job = toy_job(job_library)
    assert work(job.paths, lambda run: Outcome(make_model(run))) == 0
    assert job.info().model == "toy-model-2"
    assert job_library.find("model/toy-model").source == "somebody else's"


def test_a_failure_while_it_publishes_is_told_and_only_that_is_done_again(job_library: Library):
    job = toy_job(job_library)
    job_library.root.joinpath("models").write_text("in the way")
    assert work(job.paths, lambda run: Outcome(make_model(run), message="fine")) == 1
    assert job.info().stage == "failed"
    job_library.root.joinpath("models").unlink()
    job.paths.outcome.unlink()
    assert work(job.paths, lambda run: pytest.fail("trained again")) == 0
    assert job.info().model == "toy-model"


@pytest.mark.parametrize(
    ("error", "runs_out"),
    [
        (MemoryError(), True),
        (RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB"), True),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp:114] DefaultCPUAllocator: can't allocate memory"),
            True,
        ),
        (RuntimeError("MPS backend out of memory (MPS allocated: 9.05 GB)"), True),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), True),
        (np._core._exceptions._ArrayMemoryError((10**9, 10**9), np.dtype("float64")), True),
        (RuntimeError("shape mismatch"), False),
        (ModelError("A model can run out of memory"), False),
        (OSError(errno.ENOSPC, "No space left on device"), False),
    ],
)
def test_running_out_of_memory_is_recognised_and_suggests_a_smaller_batch(error: BaseException, runs_out: bool):
    assert is_out_of_memory(error) is runs_out
    line = failure_line(error, {"batch_size": [16, 32]})
    assert ("try a smaller batch_size (it was 16 or 32)" in line) is runs_out


def test_torchs_own_error_is_recognised():
    import torch

    with pytest.raises(RuntimeError) as caught:
        torch.empty(10**15)
    assert is_out_of_memory(caught.value)
    assert is_out_of_memory(torch.OutOfMemoryError("HIP out of memory"))


def test_a_reason_is_one_line():
    assert failure_line(ValueError("first\nsecond"), {}) == "ValueError: first"
    assert failure_line(KeyError(), {}) == "KeyError: KeyError"
    assert failure_line(OSError(errno.EDQUOT, "Disk quota exceeded"), {}).startswith("The disk is full: make room")


def test_a_lock_is_held_until_its_last_holder_lets_go(tmp_path: Path):
    lock = tmp_path / "lock"
    assert not is_held(lock)
    mine = hold(lock)
    assert is_held(lock) and hold(lock, seconds=0.05) is None
    sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
    child = subprocess.Popen(sleep, pass_fds=[mine])
    os.close(mine)
    assert is_held(lock)
    child.kill()
    child.wait()
    assert not is_held(lock)


def test_looking_at_a_lock_keeps_nobody_from_taking_it(tmp_path: Path):
    lock, over = tmp_path / "lock", threading.Event()
    lock.touch()

    def look() -> None:
        while not over.is_set():
            is_held(lock)

    looking = [threading.Thread(target=look) for _ in range(4)]
    for thread in looking:
        thread.start()
    for _ in range(30):
        held = hold(lock, seconds=5)
        assert held is not None
        os.close(held)
    over.set()
    for thread in looking:
        thread.join()


def test_what_a_worker_forks_does_not_keep_its_lock(tmp_path: Path):
    write_json(tmp_path / "config.json", {"name": "forking"})
    line = """
import os, sys
from pathlib import Path
from tools.core.jobs.worker import main

def train(run):
    if os.fork() == 0:
        os.fork()  # and what the child forks must not close another file
        sys.stdin.read()
        os._exit(0)
    os.kill(os.getpid(), 9)

main(train, sys.argv[1:])
"""
    forking = subprocess.Popen(
        [sys.executable, "-c", line, "--config", str(tmp_path / "config.json")], cwd=ROOT, stdin=subprocess.PIPE
    )
    assert forking.wait() == -9
    wait_until(lambda: not is_held(tmp_path / "worker.lock"), "the lock is free")
    forking.stdin.close()


def test_the_end_of_a_log_is_read_as_a_terminal_shows_it(tmp_path: Path):
    log = tmp_path / "log.txt"
    assert last_lines(log, 3) == []
    log.write_bytes(b"x\n" * 9999 + b"10%\r50%\r100%\n\n\xff\xfe\nlast \xc3\xbc")
    assert last_lines(log, 3) == ["100%", "\ufffd\ufffd", "last ü"]


def test_metrics_are_json_lines(run: Run):
    run.tell("step", step=1, loss=float("nan"))
    assert len(run.folder.metrics.read_text().splitlines()) == 1
    assert json.loads(run.folder.metrics.read_text())["step"] == 1
