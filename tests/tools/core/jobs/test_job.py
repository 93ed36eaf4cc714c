import dataclasses
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.toy_jobs import processes, toy_job, wait_for_death, wait_for_end, wait_until
from tests.toy_recipe import weights_after
from tools.core.errors import DataError, InputError, JobError, NotInLibraryError
from tools.core.files import write_json
from tools.core.jobs import attempts
from tools.core.jobs.folder import hold, is_held, read_json
from tools.core.jobs.job import Job, JobKeeper, JobStage, create_job, find_job, jobs_of, tend
from tools.core.jobs.launchers import command
from tools.core.library import Kind, Library

ROOT = Path(__file__).resolve().parents[4]
MAKE = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tests.toy_jobs import toy_job
from tools.core.library import Library
library = Library(Path(sys.argv[1]))
with ThreadPoolExecutor(4) as pool:
    print(*pool.map(lambda number: toy_job(library, key=f"call_{number % 3}").name, range(12)))
"""
TEND = """
import os, sys
from pathlib import Path
from tools.core.jobs.job import tend
from tools.core.library import Library
print(tend(Library(Path(sys.argv[1]))), flush=True)
os.kill(os.getpid(), 9)
"""


def worker_of(job: Job) -> int:
    """Return the number of a job's worker, once it works."""
    wait_until(lambda: job.metrics() or job.info().is_over, f"{job.name} works; {job.log_tail()}")
    return read_json(job.paths.worker)["pid"]


def kill_worker(job: Job) -> None:
    os.kill(worker_of(job), signal.SIGKILL)
    wait_for_death(job)


def steps_told(job: Job) -> list[int]:
    return [event["step"] for event in job.metrics() if event["event"] == "step"]


def test_a_job_runs_by_itself_and_becomes_a_model(job_library: Library):
    job = toy_job(job_library)
    assert job.info().stage == JobStage.QUEUED
    assert job.start() == "toy: started"
    ended = wait_for_end(job)
    assert (ended.stage, ended.model, ended.dataset) == ("succeeded", "toy-model", "pairs")
    assert (ended.step, ended.steps, ended.epochs, ended.attempt) == (30, 30, 3, 1)
    assert ended.finished > ended.created and 0 < ended.recall < 1
    card = job_library.find("model/toy-model")
    assert card.parents == ("job/toy", "dataset/pairs")
    assert card.seed == 42 and card.parameters == {"steps": 30} and card.metrics["recall_at_1"] == ended.recall
    weights = np.load(job_library.folder(Kind.MODEL, "toy-model") / "model" / "weights.npy")
    np.testing.assert_array_equal(weights, weights_after(30))
    assert steps_told(job) == list(range(1, 31))
    wait_for_death(job)
    assert job.start() == "" and job.log_tail()[-1] == "succeeded: The toy wandered about"


def test_starting_twice_starts_one_worker(job_library: Library):
    job = toy_job(job_library, pace=0.05)
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda _: job.start(), range(8)))
    assert sorted(done)[-2:] == ["", "toy: started"]
    assert wait_for_end(job).attempt == 1
    assert steps_told(job) == list(range(1, 31))


def test_a_worker_that_starts_up_never_looks_dead(job_library: Library):
    job = toy_job(job_library, steps=1)
    job.start()
    while not job.paths.worker.exists():
        assert job.paths.alive() or job.paths.worker.exists()
    wait_for_end(job)


def test_a_key_makes_one_job_across_threads_and_processes(job_library: Library):
    running = [
        subprocess.Popen([sys.executable, "-c", MAKE, job_library.root], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    told = [process.communicate()[0].split() for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert len(job_library.cards(Kind.JOB)) == 3
    for number in range(3):
        names = {name for made in told for name in made[number::3]}
        assert len(names) == 1, f"call_{number} made {names}"


def test_the_second_request_of_a_key_gets_the_first_job(job_library: Library):
    first, made = create_job(job_library, "r", "Train It!", {"seed": 1}, ["dataset/x"], {"epochs": 2}, "call_1")
    again, made_again = create_job(job_library, "r", "another", {"seed": 2}, [], {}, "call_1")
    other, made_other = create_job(job_library, "r", "Train It!", {"seed": 1}, ["dataset/x"], {"epochs": 2}, "call_2")
    assert (made, made_again, made_other) == (True, False, True)
    assert (first.name, again.name, other.name) == ("train-it", "train-it", "train-it-2")
    assert first.card.parameters == {"epochs": 2, "recipe": "r", "key": "call_1"}
    config = read_json(first.paths.config)
    assert config == {
        "seed": 1,
        "name": "train-it",
        "recipe": "r",
        "parents": ["dataset/x"],
        "library": str(job_library.root),
    }
    with pytest.raises(InputError, match="needs a key"):
        create_job(job_library, "r", "x", {}, [], {}, "")


def test_the_most_recent_job_is_found_without_a_name(job_library: Library):
    with pytest.raises(NotInLibraryError, match="no job yet; launch one"):
        find_job(job_library)
    for name in ("first", "second"):
        toy_job(job_library, name)
        time.sleep(0.002)
    assert find_job(job_library).name == "second" and find_job(job_library, "first").name == "first"
    assert [job.name for job in jobs_of(job_library)] == ["second", "first"]
    with pytest.raises(NotInLibraryError, match="There is: first, second"):
        find_job(job_library, "third")


def test_a_killed_worker_is_started_again_and_ends_at_the_same_weights(job_library: Library):
    job = toy_job(job_library, steps=40, every=3, pace=0.02)
    assert tend(job_library) == ["toy: started"]
    wait_until(lambda: job.info().step > 7, "some steps")
    kill_worker(job)
    assert "its worker died" in job.info().message and job.info().stage == JobStage.QUEUED
    assert tend(job_library) == ["toy: started again, attempt 2"]
    assert wait_for_end(job).attempt == 2
    weights = np.load(job_library.folder(Kind.MODEL, "toy-model") / "model" / "weights.npy")
    np.testing.assert_array_equal(weights, weights_after(40))
    assert steps_told(job) == list(range(1, 41))


def test_a_job_outlives_the_process_that_started_it(job_library: Library):
    toy_job(job_library, pace=0.02)
    line = [sys.executable, "-c", TEND, str(job_library.root)]
    app = subprocess.run(line, cwd=ROOT, capture_output=True, text=True)
    assert (app.returncode, app.stdout) == (-9, "['toy: started']\n")
    job = find_job(job_library)
    assert job.paths.alive() and job.start() == ""
    assert (wait_for_end(job).stage, job.info().attempt) == ("succeeded", 1)


def test_several_who_tend_start_each_job_once(job_library: Library):
    jobs = [toy_job(job_library, f"toy-{number}", steps=3) for number in range(3)]
    with ThreadPoolExecutor(6) as pool:
        done = [line for lines in pool.map(lambda _: tend(job_library), range(6)) for line in lines]
    assert sorted(done) == [f"toy-{number}: started" for number in range(3)]
    assert [wait_for_end(job).attempt for job in jobs] == [1, 1, 1]


def test_one_damaged_job_does_not_keep_the_others_waiting(job_library: Library):
    bad, good = toy_job(job_library, "bad"), toy_job(job_library, "good", steps=2)
    bad.paths.config.write_text("{")
    lines = tend(job_library)
    assert "good: started" in lines and any(line.startswith("bad: The file") for line in lines)
    wait_for_end(good)
    with pytest.raises(DataError, match="damaged"):
        bad.info()


def test_an_unknown_launcher_is_named(job_library: Library):
    job = toy_job(job_library, launcher="moon")
    with pytest.raises(JobError, match="'moon'; there is local"):
        job.start()


@pytest.mark.parametrize(
    ("trouble", "said", "attempt"),
    [
        ("memory", r"Out of memory: try a smaller batch_size \(it was 16\) \(CUDA out of memory. Tried", 1),
        ("data", "The dataset is gone; load it again", 1),
        ("bug", "ZeroDivisionError: division by zero", 1),
        ("disk", "The disk is full: make room, then launch it again", 1),
    ],
)
def test_a_job_that_fails_says_why_in_a_line(job_library: Library, trouble: str, said: str, attempt: int):
    job = toy_job(job_library, trouble=trouble)
    job.start()
    ended = wait_for_end(job)
    assert (ended.stage, ended.attempt, ended.model) == ("failed", attempt, None)
    assert np.array_equal(steps_told(job), range(1, 8))
    assert re.match(said, ended.message) and "\n" not in str(ended)
    assert str(ended).endswith(f"The log: {job.paths.log}")
    assert any("Traceback" in line for line in job.log_tail(40))
    assert tend(job_library) == [] and not job_library.cards(Kind.MODEL)


def test_a_recipe_that_cannot_be_imported_says_so(job_library: Library):
    job, _ = create_job(job_library, "no.such.module", "broken", {}, [], {}, "call_1")
    job.start()
    assert wait_for_end(job).message == "ModuleNotFoundError: No module named 'no'"


def test_a_worker_that_dies_again_and_again_without_getting_further_is_given_up(job_library: Library, monkeypatch):
    monkeypatch.setattr(attempts, "GIVE_UP_UNEXPLAINED", 3)
    job = toy_job(job_library, trouble="killed", at=3)
    for _ in range(4):
        assert job.info().stage == JobStage.QUEUED
        assert tend(job_library)[0].startswith("toy: started")
        wait_for_death(job)
    assert "failed" in tend(job_library)[0]
    ended = job.info()
    assert (ended.stage, ended.attempt) == ("failed", 4)
    assert ended.message == (
        "Its worker died 3 times without getting any further: killed from outside. Memory is the usual reason: try a "
        "smaller batch_size (it was 16)"
    )


def test_a_crash_in_native_code_is_given_up_after_three_times_and_named(job_library: Library):
    job = toy_job(job_library, trouble="crash", at=3)
    for _ in range(4):
        tend(job_library)
        wait_for_death(job)
    tend(job_library)
    assert job.info().message == (
        "Its worker died 3 times without getting any further: Fatal Python error: Segmentation fault"
    )


def test_a_job_that_gets_further_each_time_is_never_given_up(job_library: Library):
    job = toy_job(job_library, steps=24, every=2, trouble="killed")
    for at in range(3, 24, 3):
        write_json(job.paths.config, {**read_json(job.paths.config), "at": at})
        tend(job_library)
        wait_for_death(job)
        assert not job.info().is_over
    write_json(job.paths.config, {**read_json(job.paths.config), "trouble": None})
    tend(job_library)
    assert (wait_for_end(job).stage, job.info().attempt) == ("succeeded", 8)


def test_memory_that_ran_out_and_a_restart_are_noticed(job_library: Library):
    job = toy_job(job_library)
    now = attempts.next_attempt(job.paths)
    assert attempts.cause_of_death(job.paths, now) == ""
    assert attempts.cause_of_death(job.paths, dataclasses.replace(now, boot="another")) == attempts.RESTARTED
    more = dataclasses.replace(now, memory_kills=now.memory_kills - 1)
    assert attempts.cause_of_death(job.paths, more) == attempts.NO_MEMORY


def test_a_cancelled_job_ends_by_itself_and_keeps_its_checkpoint(job_library: Library):
    job = toy_job(job_library, steps=1000, pace=0.02)
    job.start()
    wait_until(lambda: job.paths.checkpoints(), "a checkpoint")
    began = time.monotonic()
    assert job.cancel()
    assert time.monotonic() - began < 2
    ended = job.info()
    assert (ended.stage, ended.model) == ("cancelled", None)
    assert job.paths.checkpoints() and not processes(job) and not job_library.cards(Kind.MODEL)
    assert f"toy: cancelled at step {ended.step} of 1000. Cancelled as you asked" in str(ended)
    assert not job.cancel() and tend(job_library) == []


def test_a_job_that_ignores_every_request_is_gone_within_five_seconds_with_all_its_processes(job_library: Library):
    job = toy_job(job_library, steps=1000, trouble="deaf")
    job.start()
    wait_until(lambda: job.log_tail().count("deaf") == 2, "two children that ignore requests too")
    assert len(processes(job)) == 3
    began = time.monotonic()
    assert job.cancel()
    assert time.monotonic() - began < 5
    assert not processes(job) and not is_held(job.paths.lock)
    ended = job.info()
    assert ended.stage == "cancelled" and "the checkpoint is kept" in ended.message
    assert job.paths.checkpoints()


def test_what_a_killed_worker_left_behind_is_removed_before_the_next_one(job_library: Library):
    job = toy_job(job_library, steps=1000, trouble="deaf")
    job.start()
    wait_until(lambda: job.log_tail().count("deaf") == 2, "two children")
    kill_worker(job)
    left = processes(job)
    assert left
    job.start()
    assert not set(left) & set(processes(job))
    job.cancel()


def test_a_job_that_waits_or_whose_worker_died_can_be_cancelled(job_library: Library):
    waiting, dead = toy_job(job_library, "waiting"), toy_job(job_library, "dead", pace=0.05)
    assert waiting.cancel() and waiting.info().message == "Cancelled as you asked; it had no checkpoint yet"
    dead.start()
    kill_worker(dead)
    assert dead.cancel() and dead.info().stage == JobStage.CANCELLED
    assert tend(job_library) == [] and waiting.info().attempt == 0


def test_a_request_to_end_that_was_only_written_down_is_carried_out_later(job_library: Library):
    job = toy_job(job_library)
    job.paths.stop.touch()  # as by a process that was killed while it cancelled
    assert tend(job_library) == ["toy: cancelled"]
    assert job.info().stage == JobStage.CANCELLED


def test_a_cancelled_job_can_go_on_to_the_same_weights(job_library: Library):
    job = toy_job(job_library, steps=40, pace=0.02)
    job.start()
    wait_until(lambda: job.paths.checkpoints(), "a checkpoint")
    with pytest.raises(JobError, match="still going on"):
        job.resume()
    job.cancel()
    assert job.resume() == "toy: started"
    assert wait_for_end(job).stage == JobStage.SUCCEEDED
    weights = np.load(job_library.folder(Kind.MODEL, "toy-model") / "model" / "weights.npy")
    np.testing.assert_array_equal(weights, weights_after(40))
    with pytest.raises(JobError, match="succeeded; only a failed or cancelled"):
        job.resume()


def test_a_process_that_got_the_number_of_a_dead_worker_is_left_alone(job_library: Library):
    job = toy_job(job_library)
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    try:
        about = {"pid": stranger.pid, "ticks": "1", "group": stranger.pid, "host": socket.gethostname()}
        write_json(job.paths.worker, about)
        lock = hold(job.paths.lock)
        closing = threading.Timer(4.5, os.close, [lock])  # somebody holds the lock, and cannot be found
        closing.start()
        job.cancel()
        closing.join()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_worker_started_by_hand_is_cancelled_too(job_library: Library):
    job = toy_job(job_library, steps=1000, trouble="deaf")
    line = [sys.executable, "-m", "tests.toy_recipe", "--config", str(job.paths.config)]
    with job.paths.log.open("wb") as log, subprocess.Popen(line, cwd=ROOT, stdout=log, stderr=log) as byhand:
        wait_until(lambda: job.log_tail().count("deaf") == 2, "two children")
        assert job.info().stage == JobStage.RUNNING and tend(job_library) == []
        children = subprocess.run(["pgrep", "-P", str(byhand.pid)], capture_output=True, text=True).stdout.split()
        assert job.cancel() and job.info().stage == JobStage.CANCELLED
        for child in children:
            os.kill(int(child), signal.SIGKILL)


def test_a_worker_on_another_machine_is_alive_while_it_shows_signs_of_life(job_library: Library):
    job = toy_job(job_library)
    write_json(job.paths.worker, {"pid": 1, "ticks": "1", "group": 1, "host": "elsewhere"})
    assert not job.paths.alive()
    job.paths.lock.touch()
    assert job.paths.alive() and job.start() == "" and job.info().stage == JobStage.RUNNING
    assert job.cancel() and job.info().message == "ending as you asked"
    old = time.time() - 100
    os.utime(job.paths.lock, (old, old))
    assert not job.paths.alive()
    assert tend(job_library) == ["toy: cancelled"]


def test_a_job_may_not_be_deleted_under_its_worker(job_library: Library):
    job = toy_job(job_library, pace=0.05)
    job.refuse_if_running()
    job.start()
    with pytest.raises(JobError, match="is running; cancel it first"):
        job.refuse_if_running()
    job.cancel()
    job.paths.config.write_text("damaged")
    job.refuse_if_running()


def test_a_job_that_is_deleted_while_others_look_is_no_error(job_library: Library):
    for number in range(5):
        toy_job(job_library, f"toy-{number}", steps=1)
    with ThreadPoolExecutor(4) as pool:
        looking = [pool.submit(tend, job_library) for _ in range(8)]
        for card in job_library.cards(Kind.JOB):
            job_library.delete(card)
        lines = [line for one in looking for line in one.result()]
    assert all("started" in line or "deleted meanwhile" in line for line in lines), lines


def test_the_keeper_starts_jobs_and_brings_dead_ones_back(job_library: Library):
    job = toy_job(job_library, steps=60, pace=0.02)
    keeper = JobKeeper(job_library, seconds=0.1)
    keeper.start()
    wait_until(lambda: job.info().step > 6, "some steps")
    os.kill(worker_of(job), signal.SIGKILL)
    assert wait_for_end(job).attempt == 2
    keeper.stop()


def test_several_devices_are_used_by_torchrun(job_library: Library):
    job = toy_job(job_library, devices=4)
    line = command(job.paths, lock=7)
    assert line[1:6] == ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "4"]
    assert line[6:] == ["-m", "tools.recipes", "tests.toy_recipe", "--config", str(job.paths.config), "--lock", "7"]
    alone = toy_job(job_library, devices=1)
    assert command(alone.paths, lock=7)[1:4] == ["-m", "tools.recipes", "tests.toy_recipe"]


def test_ranks_of_one_job_write_once_and_are_started_and_ended_together(job_library: Library):
    job, _ = create_job(job_library, "tests.toy_ranks", "ranks", {"devices": 2, "steps": 100_000}, [], {}, "call_1")
    job.start()
    wait_until(lambda: len(steps_told(job)) > 5 or job.info().is_over, f"steps; {job.log_tail()}", 240)
    torchrun = next(pid for pid in processes(job) if os.getsid(pid) == pid and pid != worker_of(job))
    os.kill(torchrun, signal.SIGKILL)
    wait_for_death(job)
    assert processes(job), "the ranks go on without it"
    reached = len(job.metrics())
    assert job.start() == "ranks: started again, attempt 2"
    wait_until(lambda: len(steps_told(job)) > reached + 5 or job.info().is_over, f"steps; {job.log_tail()}", 240)
    told = steps_told(job)
    assert told == list(range(1, len(told) + 1))
    began = time.monotonic()
    job.cancel()
    assert time.monotonic() - began < 5 and not processes(job)
    assert job.info().stage == JobStage.CANCELLED


def test_what_is_said_of_a_job_can_be_written_as_json(job_library: Library):
    plain = dataclasses.asdict(toy_job(job_library).info())
    assert json.loads(json.dumps(plain)) == plain and type(plain["stage"]) is str
