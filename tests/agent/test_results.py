import json

from agent.results import from_plain, to_plain
from tools.core.encoders import Unreadable
from tools.index_images import IndexReport
from tools.search_images import Hit, SearchResult


def test_results_survive_the_way_through_json():
    found = SearchResult("'red'", "images", "m", (Hit(1, "a", 0.5, "/x.jpg", "x"),), 3, "exact", 0.01)
    report = IndexReport("images", "here", "m", 1, 2, 3, 4, (Unreadable("k", "why"),), 4, 0.5)
    for result in (found, report):
        assert from_plain(json.loads(json.dumps(to_plain(result)))) == result


def test_what_no_tool_gives_is_not_guessed():
    assert from_plain(None) is None
    assert from_plain({"type": "Gone", "data": {}}) is None
    assert from_plain({"type": "SearchResult", "data": {"query": 1}}) is None
