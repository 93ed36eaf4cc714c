import dataclasses

from demo.jobs import JobBoard, described, how_far, job_rows
from tests.tools.core.jobs.test_info import INFO, evaluation
from tests.toy_jobs import end_all, toy_job, wait_for_death, wait_for_end
from tools.core.workspace import Workspace


def test_rows_say_how_far_each_job_came():
    done = dataclasses.replace(INFO, stage="succeeded", model="clip", recall=None)
    waiting = dataclasses.replace(INFO, stage="queued", step=0, message="waiting for its worker", dataset=None)
    assert job_rows([INFO, done, waiting]) == [
        ["clip-talebi", "running", "step 14 of 26", "0.640", "talebi", "2026-01-01 00:00"],
        ["clip-talebi", "succeeded", "model clip", "", "talebi", "2026-01-01 00:00"],
        ["clip-talebi", "queued", "waiting for its worker", "0.640", "", "2026-01-01 00:00"],
    ]
    assert how_far(dataclasses.replace(INFO, stage="failed", step=0, message="Out of memory")) == ""


def test_what_is_said_of_a_job_is_text_and_has_its_scores_in_a_table():
    info = dataclasses.replace(INFO, stage="failed", message="[click](http://x) <b>")
    events = [evaluation("before", "test", 0.4), evaluation("before", "train", 0.5), evaluation("after", "test", 0.75)]
    said = described(info, events)
    assert said.startswith("**clip-talebi**: failed. \\[click](http://x) &lt;b>.")
    assert said.endswith("| Recall@1 | before | after |\n| --- | --- | --- |\n| test | 0.400 | 0.750 |")
    assert "| test | 0.400 |  |" in described(info, events[:2])
    assert "|" not in described(info, [])


def test_a_stamp_changes_with_the_job_and_only_then(workspace: Workspace):
    board, library = JobBoard(workspace), workspace.library
    assert board.look() == []
    job = toy_job(library)
    (_, before, info), *_ = board.look()
    assert info.stage == "queued"
    assert board.look()[0][1] == before and board.look()[0][2] is info
    try:
        job.start()
        assert board.look()[0][1] != before
        wait_for_end(job)
        wait_for_death(job)
        (_, after, info), *_ = board.look()
        assert info.stage == "succeeded" and board.look()[0][1] == after
    finally:
        end_all(library)
    job.paths.outcome.write_text("damaged")
    assert board.look() == []
    library.delete(library.find("job/toy"))
    assert board.look() == []
