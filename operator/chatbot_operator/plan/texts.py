"""What every reason means and what to do about it: messages of conditions, and docs/conditions.md.

The only place where such a text is written.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from chatbot_operator.reasons import EventReason, Reason


@dataclass(frozen=True, slots=True)
class Text:
    """A sentence each. `remedy` is "" where nothing is to be done."""

    meaning: str
    remedy: str = ""


TEXTS: Mapping[Reason, Text] = {
    Reason.SERVING: Text("Every consumer serves it."),
    Reason.NO_CONSUMER: Text(
        "No running Deployment consumes the model.",
        "Label a Deployment and its pod template with chatbot.ai/model: <name of the Model>, or with "
        "chatbot.ai/embedding-model where spec.kind is Embedding; or scale it above zero.",
    ),
    Reason.DOWNLOADED: Text("The file is on the volume."),
    Reason.VERIFIED: Text("The sha256 is the one that the spec names."),
    Reason.UNVERIFIED: Text(
        "The spec names no sum (allowUnverified), so the file was checked to be a GGUF and nothing more.",
        "Write the sha256 shown here into spec.source.sha256.",
    ),
    Reason.BOUND: Text("The claim is bound to a volume."),
    Reason.ROLLED_OUT: Text("Every consumer served the revision for long enough."),
    Reason.REACHABLE: Text("The source delivered."),
    Reason.NEVER: Text("No revision of this spec was taken back."),
    Reason.PENDING: Text("It has not begun yet."),
    Reason.DOWNLOADING: Text("The file is on its way; status.download shows how far it is."),
    Reason.WAITING_FOR_STORAGE: Text(
        "The download waits for the volume.",
        "If it stays so, see the condition StorageReady and `kubectl describe pvc`.",
    ),
    Reason.WAITING_FOR_DOWNLOAD: Text("The rollout waits for the download."),
    Reason.PROGRESSING: Text("Consumers are brought to the revision, one after the other."),
    Reason.SOAKING: Text("A consumer serves the revision; it counts as good after spec.rollout.soakSeconds."),
    Reason.PAUSED: Text("No rollout is started while spec.rollout.paused is true.", "Set it to false to go on."),
    Reason.BAD_URL: Text("The address leads nowhere.", "Correct spec.source.url."),
    Reason.SOURCE_NOT_ALLOWED: Text(
        "The source is not among the addresses that downloads may reach.",
        "Choose another source, or allow its host or network in the values of the operator's chart.",
    ),
    Reason.UNAUTHORIZED: Text(
        "The source refuses the credentials, or asks for some.",
        "Put a valid token into the key HF_TOKEN of the Secret that spec.source.secretRef names, accept the model's "
        "licence there, then set a new value of the annotation chatbot.ai/retry.",
    ),
    Reason.NOT_FOUND: Text(
        "The source has no such file.", "Correct owner, repository, path or revision in spec.source.url."
    ),
    Reason.UNREACHABLE: Text(
        "The source cannot be reached; the download is tried again by itself.",
        "Check DNS, proxy and NetworkPolicy for pods labelled chatbot.ai/download.",
    ),
    Reason.STALLED: Text(
        "The source stopped sending; the download goes on from where it was by itself.",
        "Check the network if this stays.",
    ),
    Reason.SERVER_ERROR: Text(
        "The source answers with errors; the download is tried again by itself.", "Choose another source if this stays."
    ),
    Reason.CHECKSUM_MISMATCH: Text(
        "The file is not the one that spec.source.sha256 names; it was deleted and is never served.",
        "Correct the sum or the address; if the source was at fault, set a new value of the annotation "
        "chatbot.ai/retry.",
    ),
    Reason.NOT_GGUF: Text(
        "The file is not a whole GGUF; it was deleted and is never served.",
        "Name a .gguf file in spec.source.url, not a page, an archive or an adapter.",
    ),
    Reason.WRONG_KIND: Text(
        "The file is not the kind of model that spec.kind says: it chats and makes no vectors, or the reverse.",
        "Choose another file, or make the Model anew with the other spec.kind.",
    ),
    Reason.SECRET_MISSING: Text(
        "The Secret in spec.source.secretRef or its key HF_TOKEN does not exist.",
        "Create it in the Model's namespace; the download then starts by itself.",
    ),
    Reason.NO_SPACE: Text(
        "The volume cannot hold the file.",
        "Raise spec.storage.size: room for revisionHistoryLimit + 2 models is needed. The download is tried again by "
        "itself.",
    ),
    Reason.VOLUME_ERROR: Text(
        "The volume cannot be used.", "Check the claim and its volume; files must be writable for group 65532."
    ),
    Reason.NO_SUCH_CLAIM: Text(
        "The claim in spec.storage.existingClaim does not exist.",
        "Create it in the Model's namespace, or make a Model with spec.storage.size instead.",
    ),
    Reason.NO_STORAGE_CLASS: Text(
        "The storage class does not exist, or none is named and the cluster has no default.",
        "Create the class, or make the Model anew with a class that `kubectl get storageclass` lists.",
    ),
    Reason.CLAIM_PENDING: Text(
        "The claim waits for a volume; with volumeBindingMode WaitForFirstConsumer it waits for the first pod.",
        "If it stays so, see `kubectl describe pvc`, and whether `kubectl get storageclass` lists its class.",
    ),
    Reason.READ_WRITE_ONCE_ACROSS_NODES: Text(
        "Pods on different nodes share a ReadWriteOnce claim, which only one node can mount.",
        "Keep them on one node by pod affinity, run one replica, or make the Model anew with accessMode ReadWriteMany.",
    ),
    Reason.UNSCHEDULABLE: Text(
        "No node takes the pod.",
        "Free or add what the scheduler misses: a GPU, memory, a node that the volume reaches.",
    ),
    Reason.IMAGE_PULL: Text(
        "The image cannot be pulled.", "Correct image and imagePullSecrets in the chart's values, or the registry."
    ),
    Reason.MOUNT_FAILED: Text(
        "A volume cannot be mounted.", "See `kubectl describe pod`; the claim may be in use on another node."
    ),
    Reason.QUOTA_EXCEEDED: Text(
        "The namespace's quota or a policy refuses the object.", "Raise the ResourceQuota, or ask who sets the policy."
    ),
    Reason.MISSING_RIGHT: Text(
        "The operator may not do or see what this needs.",
        "Give its ServiceAccount the Role of its chart in this namespace (value watchNamespaces); strategy InPlace "
        "needs rollout.inPlace.enabled: true there as well. It then goes on by itself.",
    ),
    Reason.NODE_LOST: Text("The node of a pod does not answer.", "Bring the node back or remove it from the cluster."),
    Reason.JOB_FAILED: Text(
        "The download ended without saying why; it is tried again by itself.",
        "See `kubectl logs` and `kubectl describe` of its pods.",
    ),
    Reason.MODEL_MISSING: Text(
        "The pod does not find the file of the revision.",
        "Check that the pod mounts the claim of this Model at /models (/embedding-models for kind Embedding).",
    ),
    Reason.MODEL_INVALID: Text(
        "The engine refuses the file.", "Choose a GGUF that this release of the engine supports."
    ),
    Reason.LOAD_FAILED: Text("The engine could not load the model.", "See the log of the pod; choose another file."),
    Reason.OUT_OF_MEMORY: Text(
        "The model does not fit into memory.",
        "Choose a smaller quantization, a smaller context or pool, or a larger GPU or memory limit.",
    ),
    Reason.LOAD_TIMEOUT: Text(
        "Loading took too long.", "Raise CHATBOT_ENGINE_LOAD_TIMEOUT_SECONDS, or use faster storage or a smaller file."
    ),
    Reason.ENGINE_CRASHED: Text(
        "The engine process died again and again.", "See the log of the pod; choose another file."
    ),
    Reason.SMOKE_EMPTY: Text(
        "The model gave no answer to the smoke question.", "Choose a chat model whose chat format is known."
    ),
    Reason.SMOKE_NAN: Text("The model computes values that are no numbers.", "The file is broken; choose another one."),
    Reason.TOO_SLOW: Text(
        "The model is slower than spec.rollout.minTokensPerSecond.",
        "Choose a smaller model, give the pod a faster device, or lower the bound.",
    ),
    Reason.DEADLINE_EXCEEDED: Text(
        "The consumer did not come to serve the revision within spec.rollout.progressDeadlineSeconds.",
        "See the pod and its log; raise the deadline if it only needs longer.",
    ),
    Reason.NO_ANSWER: Text(
        "A ready pod does not tell what it serves.",
        "Allow the operator to reach port 9090 of the consumers (NetworkPolicy).",
    ),
    Reason.ROLLED_BACK: Text(
        "The revision was bad and was taken back; the last good one is served.",
        "Correct the spec, or set a new value of the annotation chatbot.ai/retry to try the revision again.",
    ),
    Reason.RELEASE_CHANGED: Text(
        "Pods fail for a reason that is not the new model's: their template changed, or the last good revision fails "
        "too.",
        "Mend the release (image, settings, resources); the rollout then goes on by itself.",
    ),
}


EVENT_TEXTS: Mapping[EventReason, Text] = {
    EventReason.ROLLOUT_STARTED: Text("A revision is brought to the consumers, one after the other."),
    EventReason.SERVICE_INTERRUPTED: Text(
        "A Deployment with one replica and maxSurge 0 refuses requests until its new pod serves.",
        "Use spec.rollout.strategy InPlace, with which they wait, or run a second replica.",
    ),
    EventReason.STRATEGY_CHANGED: Text("The new spec.rollout.strategy takes effect with the next change of model."),
    EventReason.ANNOTATION_RESTORED: Text(
        "Somebody else changed the annotation chatbot.ai/model-revision (or embedding-revision); it was set again.",
        "Change spec.source of the Model instead.",
    ),
}


def message(reason: Reason, detail: str = "") -> str:
    """What happened, in `detail` or in general, and the remedy.

    Where the detail already comes with a remedy of its own (what the downloader or a pod says), saying a second one
    does no harm.
    """
    text = TEXTS[reason]
    happened = detail or text.meaning
    if happened[-1] not in ".!?…":  # what a pod says has no full stop
        happened += "."
    return " ".join(part for part in (happened, text.remedy) if part)
