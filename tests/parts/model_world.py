"""A small cluster in plain Python: carries out planned actions, and does what Kubernetes and the pods would do.

Times are steps of a clock of its own. What a revision does when it is loaded is in `World.faults`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from chatbot_operator import names
from chatbot_operator.actions import (
    Action,
    AnnotatePod,
    AnnotateTemplate,
    ApplyGoodRevision,
    CreateClaim,
    CreateJob,
    DeleteJob,
    GrowClaim,
    SetOwnership,
)
from chatbot_operator.observed import (
    Claim,
    Consumer,
    ConsumerPod,
    DownloadJob,
    Observed,
    ServedModel,
)
from chatbot_operator.plan import plan, status_from_dict, status_to_dict
from chatbot_operator.reasons import ConditionType, Reason
from chatbot_operator.resources import Condition, Model, ModelSpec, ModelStatus, Rollout, Source, Storage

START = datetime(2026, 11, 21, tzinfo=UTC)
LOAD_SECONDS = 4
DOWNLOAD_SECONDS = 6


def sha(letter: str) -> str:
    """The sum of the model `letter`."""
    return letter * 64


def revision(letter: str) -> str:
    """The revision of the model `letter`."""
    return letter * 16


def spec(letter: str = "a", **rollout: Any) -> ModelSpec:
    """A spec that asks for the model `letter`."""
    return ModelSpec(
        Source(f"hf://owner/models/{letter}.gguf", sha(letter)),
        Storage(size="20Gi"),
        Rollout(**{"soak_seconds": 10, "progress_deadline_seconds": 120, **rollout}),
    )


@dataclass
class Pod:
    """A pod of a Deployment. `template` is the version of the template that it was made from."""

    name: str
    template: int
    annotation: str
    created_at: datetime
    served: str = ""
    expected: str = ""
    loaded_at: datetime | None = None
    reason: str = ""


@dataclass
class Deployment:
    """A consumer. With `surge` a new pod is ready before an old one ends."""

    name: str
    replicas: int = 1
    surge: bool = True
    annotation: str = ""
    template: int = 1
    release: int = 1
    problem: tuple[Reason, str] | None = None
    pods: list[Pod] = field(default_factory=list)
    made: int = 0


@dataclass
class World:
    """Everything that is outside the operator."""

    model: Model = field(
        default_factory=lambda: Model("ns", "llama", "uid-1", 1, "1", spec(), ModelStatus()),
    )
    now: datetime = START
    claim: Claim | None = None
    good_revision: str | None = None
    config_map_owned: bool = False
    jobs: list[DownloadJob] = field(default_factory=list)
    deployments: list[Deployment] = field(default_factory=list)
    faults: dict[str, Reason] = field(default_factory=dict)
    loads_for_ever: set[str] = field(default_factory=set)
    speeds: dict[str, float] = field(default_factory=dict)
    download_ends: Callable[[DownloadJob, Model], tuple[str, dict[str, object]]] | None = None
    events: list[str] = field(default_factory=list)
    results: list[str] = field(default_factory=list)
    created_jobs: list[str] = field(default_factory=list)
    writes: int = 0
    kill_at: int | None = None

    # the user

    def ask_for(self, new: ModelSpec) -> None:
        """`kubectl apply` of another spec."""
        if new != self.model.spec:
            self.model = replace(self.model, spec=new, generation=self.model.generation + 1)

    def retry(self, value: str) -> None:
        """`kubectl annotate mdl/llama chatbot.ai/retry=…`."""
        self.model = replace(self.model, retry=value)

    def deploy(self, name: str, **options: Any) -> Deployment:
        """`helm install`."""
        deployment = Deployment(name, **options)
        self.deployments.append(deployment)
        self.deployments.sort(key=lambda each: each.name)
        return deployment

    def release(self, deployment: Deployment) -> None:
        """`helm upgrade` that changes the pod template."""
        deployment.release += 1
        deployment.template += 1

    def carry_out_foreign_undo(self) -> None:
        """`kubectl rollout undo`: the template of before, without our annotation."""
        for deployment in self.deployments:
            self._annotate_template(deployment, "")

    # the operator

    def observe(self) -> Observed:
        """What the operator would read."""
        return Observed(
            claim=self.claim,
            jobs=tuple(self.jobs),
            consumers=tuple(self._consumer(deployment) for deployment in self.deployments),
            good_revision=self.good_revision,
            config_map_owned=self.config_map_owned,
        )

    def reconcile(self, writes: int | None = None) -> int:
        """Plan and carry out, as `reconcile` does; killed after so many writes. Returns how many there were."""
        made = plan(self.model, self.observe(), self.now)
        work: list[Callable[[], None]] = []
        if made.status != self.model.status:
            work.append(lambda: self._write(made.status))
        work += [lambda action=action: self.carry_out(action) for action in made.actions]  # type: ignore[misc]
        work += [lambda note=note: self.events.append(note.reason) for note in made.events]  # type: ignore[misc]
        for number, task in enumerate(work):
            if writes is not None and number >= writes:
                self.writes += number
                return number
            task()
        if made.rollout_result:
            self.results.append(made.rollout_result)
        self.writes += len(work)
        return len(work)

    def _write(self, status: ModelStatus) -> None:
        """Through the document, as the API server keeps it."""
        self.model = replace(self.model, status=status_from_dict(status_to_dict(status)))
        assert self.model.status == status

    def carry_out(self, action: Action) -> None:
        """What the API server does with one action."""
        match action:
            case CreateClaim() | GrowClaim() | SetOwnership() | ApplyGoodRevision():
                self._carry_out_storage(action)
            case CreateJob():
                self._create_job(action)
            case DeleteJob(name):
                self.jobs = [job for job in self.jobs if job.name != name]
            case AnnotateTemplate(name, mark):
                self._annotate_template(self.deployment(name), mark)
            case AnnotatePod(name, _, mark):
                self._annotate_pod(name, mark)

    def _carry_out_storage(self, action: CreateClaim | GrowClaim | SetOwnership | ApplyGoodRevision) -> None:
        match action:
            case CreateClaim():
                storage = self.model.spec.storage
                owned = storage.deletion_policy == "Delete"
                self.claim = self.claim or Claim("model-llama", "Pending", storage.size, (storage.access_mode,), owned)
            case GrowClaim(size):
                self.claim = replace(self._claim(), size=size)
            case SetOwnership(owned):
                self.claim = replace(self._claim(), owned=owned)
                self.config_map_owned = owned and self.good_revision is not None
            case ApplyGoodRevision(good, owned):
                self.good_revision, self.config_map_owned = good, owned

    # Kubernetes and the pods

    def pass_time(self, seconds: int = 1) -> None:
        """Let controllers and pods do their work."""
        for _ in range(seconds):
            self.now += timedelta(seconds=1)
            if self.claim and self.claim.phase == "Pending":
                self.claim = replace(self.claim, phase="Bound")
            self.jobs = [self._run_job(job) for job in self.jobs]
            for deployment in self.deployments:
                self._run_deployment(deployment)

    def settle(self, seconds: int = 600, every: int = 2) -> None:
        """Time passes and the operator works until nothing changes any more.

        Raises:
            AssertionError: It still changes something after that time.
        """
        quiet = 0
        for _ in range(seconds // every):
            self.pass_time(every)
            quiet = quiet + 1 if self.reconcile() == 0 else 0
            if quiet * every >= 30 and not self.is_on_the_way():
                return
        raise AssertionError(f"still on the way after {seconds} s: {self.story()}")

    def run(self, seconds: int) -> None:
        """Time passes and the operator works."""
        for _ in range(seconds):
            self.pass_time()
            self.reconcile()

    def settle_killing(self) -> None:
        """Like `settle`, but the operator is killed once, after the write `kill_at` of the whole story."""
        for _ in range(150):
            self.pass_time(2)
            left = None if self.kill_at is None else self.kill_at - self.writes
            if left is None or left < 0:
                self.reconcile()
                continue
            done = self.reconcile(left)
            if done == left:
                self.kill_at = -1

    def is_on_the_way(self) -> bool:
        """Whether a clock of the Model runs that will change something by itself."""
        rollout = self.model.status.rollout
        return bool(rollout.consumer) or rollout.paused_since is not None

    # what there is to see

    def condition(self, kind: ConditionType) -> Condition:
        """A condition as it was written."""
        return self.model.status.conditions[kind]

    def says(self, kind: ConditionType) -> str:
        """`True Serving`."""
        condition = self.condition(kind)
        return f"{condition.status} {condition.reason}"

    def story(self) -> str:
        """One line about everything, for a failed assertion."""
        conditions = ", ".join(f"{kind}={self.says(kind)}" for kind in self.model.status.conditions)
        return f"{conditions}; {self.model.status.rollout}; served {self.served()}; {self.events[-6:]}"

    def served(self) -> dict[str, list[str]]:
        """Revisions that pods serve."""
        return {each.name: [pod.served for pod in each.pods] for each in self.deployments}

    def end_state(self) -> object:
        """Everything that should not depend on when the operator was killed: no times, no counts of tries."""
        status = self.model.status
        return (
            {kind: (c.status, c.reason, c.message) for kind, c in status.conditions.items()},
            (status.revision, status.last_good_revision, status.rollout.consumer, status.rollout.strategy),
            {(entry.revision, entry.state) for entry in status.history},
            {(d.name, d.annotation, tuple((p.annotation, p.served) for p in d.pods)) for d in self.deployments},
            (self.claim, self.good_revision, self.config_map_owned, tuple(self.created_jobs)),
        )

    def deployment(self, name: str) -> Deployment:
        """By name."""
        return next(deployment for deployment in self.deployments if deployment.name == name)

    def _claim(self) -> Claim:
        assert self.claim is not None
        return self.claim

    def _consumer(self, deployment: Deployment) -> Consumer:
        current = [pod for pod in deployment.pods if pod.template == deployment.template]
        return Consumer(
            name=deployment.name,
            uid=f"uid-{deployment.name}",
            replicas=deployment.replicas,
            ready_replicas=sum(self._is_ready(pod) for pod in deployment.pods),
            annotation=deployment.annotation,
            template_fingerprint=f"release-{deployment.release}",
            settled=len(current) == len(deployment.pods) == deployment.replicas,
            pods=tuple(self._pod(pod, deployment) for pod in deployment.pods),
            can_surge=deployment.surge,
        )

    def _pod(self, pod: Pod, deployment: Deployment) -> ConsumerPod:
        problem = deployment.problem if pod.template == deployment.template and not pod.expected else None
        return ConsumerPod(
            name=pod.name,
            uid=f"uid-{pod.name}",
            node="" if problem else "node-1",
            ready=self._is_ready(pod),
            annotation=pod.annotation,
            created_at=pod.created_at,
            template_hash=str(pod.template),
            served=None if problem else self._served(pod),
            problem=problem,
        )

    def _served(self, pod: Pod) -> ServedModel:
        state = "failed" if pod.reason else "serving" if pod.served == pod.expected != "" else "loading"
        if not pod.expected:
            state = "no_model"
        speed = self.speeds.get(pod.served, 50.0) if pod.served else 0.0
        return ServedModel(state, pod.served, pod.expected, pod.reason, "a text" if pod.reason else "", speed)

    @staticmethod
    def _is_ready(pod: Pod) -> bool:
        return pod.served != "" and (pod.served == pod.expected or pod.reason != "")

    def _create_job(self, action: CreateJob) -> None:
        if any(job.name == action.name for job in self.jobs):
            return
        source = self.model.spec.source
        key = names.source_key(source.url, source.sha256, source.secret_name)
        self.jobs.append(DownloadJob(action.name, key, action.attempt, "active", self.now))
        self.created_jobs.append(action.name)

    def _run_job(self, job: DownloadJob) -> DownloadJob:
        if job.state != "active" or self.now - job.created_at < timedelta(seconds=DOWNLOAD_SECONDS):
            return job
        whole: dict[str, object] = {"sha256": self.model.spec.source.sha256, "bytes": 1000}
        state, result = self.download_ends(job, self.model) if self.download_ends else ("succeeded", whole)
        return replace(job, state=state, result=result, finished_at=self.now)

    def _annotate_template(self, deployment: Deployment, mark: str) -> None:
        if deployment.annotation != mark:
            deployment.annotation = mark
            deployment.template += 1

    def _annotate_pod(self, name: str, mark: str) -> None:
        for deployment in self.deployments:
            for pod in deployment.pods:
                if pod.name == name:
                    pod.annotation = mark

    def _run_deployment(self, deployment: Deployment) -> None:
        old = [pod for pod in deployment.pods if pod.template != deployment.template]
        new = [pod for pod in deployment.pods if pod.template == deployment.template]
        room = deployment.replicas + (1 if deployment.surge else 0)
        for pod in old:
            serving = sum(self._is_ready(each) for each in deployment.pods)
            least = deployment.replicas - (0 if deployment.surge else 1)
            if not self._is_ready(pod) or serving - 1 >= least:
                deployment.pods.remove(pod)
        if len(new) < deployment.replicas and len(deployment.pods) < room:
            deployment.made += 1
            name = f"{deployment.name}-{deployment.made}"
            deployment.pods.append(Pod(name, deployment.template, deployment.annotation, self.now))
        del deployment.pods[room if old and deployment.replicas else deployment.replicas :]
        for pod in deployment.pods:
            if not (deployment.problem and pod.template == deployment.template and not pod.expected):
                self._run_pod(pod)

    def _run_pod(self, pod: Pod) -> None:
        wanted = pod.annotation or pod.expected or self.good_revision or ""
        if wanted != pod.expected:
            pod.expected, pod.reason = wanted, ""
            pod.loaded_at = self.now + timedelta(seconds=LOAD_SECONDS)
        if pod.loaded_at and self.now >= pod.loaded_at and pod.expected not in self.loads_for_ever:
            fault = self.faults.get(pod.expected)
            pod.reason = fault or ""
            pod.served = pod.served if fault else pod.expected
            pod.loaded_at = None
