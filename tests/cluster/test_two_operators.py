"""Two operators at once, as after a botched upgrade: a whole life of a Model ends as with one."""

from collections import Counter

from parts.kube_client import Kube
from parts.kube_pods import FakePods
from parts.kube_stage import Stage, differences, final_objects, stage
from parts.kube_story import STORY


def live(place: Stage) -> tuple[dict[str, object], Counter[str]]:
    """The whole story: what there is in the end, and how often each Event about the Model was posted."""
    for act, is_over in STORY:
        act(place.kube, place.namespace)
        place.wait(is_over)
        place.wait_until_quiet()
    events = place.kube.find("Event", place.namespace)
    told = Counter(str(event["reason"]) for event in events if event["involvedObject"]["kind"] == "Model")
    return final_objects(place.kube, place.namespace), told


def test_two_operators_do_the_work_of_one(kube: Kube, pods: FakePods) -> None:
    with stage(kube, pods) as place:
        place.operator.start()
        wanted, wanted_events = live(place)
        count = len(place.proxy.writes)

    with stage(kube, pods) as place:
        place.operator.start()
        place.second.start()
        place.second.wait_until_up()
        found, events = live(place)
        assert place.second.is_running and place.operator.is_running
        assert "Traceback" not in place.operator.log + place.second.log
        assert '"level": "error"' not in place.operator.log + place.second.log
        rollouts = [
            operator.get("/metrics").text.count("chatbot_rollouts_total{")
            for operator in (place.operator, place.second)
        ]

    assert differences(wanted, found) == []
    assert {reason: number for reason, number in events.items() if number != wanted_events[reason]} == {}
    assert count > 0 and sum(rollouts) > 0
