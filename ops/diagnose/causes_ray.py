"""Known failures of what runs on Ray 2.60 under KubeRay 1.6.2: runs, endpoints, and what their programs print."""

from __future__ import annotations

from ops.diagnose.cause import Cause, cause

_SAID = "log run endpoint"
PROGRAMS: tuple[Cause, ...] = (
    cause("module-missing", _SAID, r"(ModuleNotFoundError|ImportError): (?P<what>[^\n]+)",
          "the program imports what is not there: {what}",
          "a module of payloads/: correct the name; a package: add it to payloads/requirements.txt and build the "
          "image"),
    cause("gpu-memory", _SAID, r"CUDA out of memory|OutOfMemoryError: CUDA|CUDA error: out of memory",
          "the GPU's memory is full", "lower the batch size, use bf16, or larger GPUs"),
    cause("no-gpu-in-container", _SAID,
          r"No CUDA GPUs are available|Found no NVIDIA driver|driver version is insufficient|NVIDIA driver .* too old",
          "the program wants a GPU and its container has none that it can use",
          "set manta:workers.gpus and manta:trainer.gpusPerWorker; if they are, the node's driver is older than "
          "torch's "
          "CUDA"),
    cause("worker-register", _SAID, r"have not registered within the timeout",
          "worker processes took too long to start, most likely importing torch on a busy node",
          "set RAY_worker_register_timeout_seconds to at least 120, and give the pod more CPU"),
    cause("ray-memory", _SAID, r"killed due to the node running low on memory|ray\.exceptions\.OutOfMemoryError",
          "Ray ended workers because their pod was running out of memory",
          "raise manta:workers.memory, or run fewer tasks at a time"),
    cause("version-mismatch", _SAID, r"Version mismatch: The cluster was started with",
          "driver and cluster are of different versions of Ray or Python",
          "use one image, by digest, for head, workers and submitter"),
    cause("token", _SAID,
          r"authentication token (is invalid|was found)|no authentication token|AuthenticationError"
          r"|\b401\b.*Unauthorized",
          "Ray refuses the token, or was given none",
          "head, workers and submitter take it from one Secret (authOptions.secretName); whoever calls by hand sets "
          "RAY_AUTH_TOKEN (`make token`)"),
    cause("bucket-missing", _SAID, r"NoSuchBucket|NO_SUCH_BUCKET", "the bucket in MANTA_STORAGE does not exist",
          "bring the platform stack up again: it makes the bucket"),
    cause("storage-credentials", _SAID,
          r"Unable to locate credentials|NoCredentialsError|ExpiredToken|InvalidAccessKeyId|SignatureDoesNotMatch",
          "S3 does not take the program's credentials, or it has none",
          "on EKS look at the Pod Identity association of its service account; elsewhere at the Secret of credentials"),
    cause("storage-forbidden", _SAID, r"\bAccessDenied\b|ACCESS_DENIED", "S3 forbids it: the role may not",
          "the role of the Ray pods must read and write MANTA_STORAGE: compare it with the platform stack"),
    cause("storage-unreachable", _SAID, r"Could not connect to the endpoint URL|EndpointConnectionError"
          r"|NETWORK_CONNECTION",
          "S3 cannot be reached", "locally: is pod s3 in manta-system ready? On AWS: the S3 endpoint of the VPC"),
    cause("train-start", _SAID, r"worker group startup timed out after (?P<after>[\d.]+) seconds waiting for "
          r"(?P<n>\d+)",
          "{n} training workers did not get their resources within {after} s",
          "the cluster offers less than trainer asks for, or nodes are still coming: raise "
          "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S"),
    cause("data-starved", _SAID, r"backpressured?:.*ResourceBudget",
          "Ray Data has no CPU left beside the training workers and waits for ever",
          "leave at least one CPU of the cluster to it: manta:trainer.cpusPerWorker below manta:workers.cpus"),
    cause("infeasible", _SAID, r"infeasible resource requests|No available node types can fulfill",
          "a task asks for more than any Ray node has", "compare its resources with manta:workers"),
    cause("nccl", _SAID, r"\bncclUnhandled|\bncclSystemError|NCCL (error|WARN)|ncclRemoteError",
          "the GPUs of the workers cannot talk to each other",
          "NCCL_DEBUG=INFO says where; NetworkPolicies must let Ray pods reach each other, and all be in one zone "
          "for EFA"),
    cause("object-store", _SAID, r"ObjectStoreFullError|Bus error|No space left on device.*shm",
          "the object store in /dev/shm is full", "raise the memory of the pods, from which /dev/shm takes its size"),
    cause("disk-full", _SAID, r"No space left on device", "a disk is full",
          "keep fewer checkpoints on the node, or give it a larger volume"),
    cause("gcs-lost", _SAID, r"Failed to connect to GCS|GCS.{0,40}(unreachable|is down|not available)",
          "the head of the Ray cluster is gone or restarts", "look at the head pod: heads belong on on-demand nodes"),
    cause("working-dir", _SAID, r"directory (?P<what>\S+) must be an existing directory",
          "the runtime environment names the folder {what}, which is not in the submitter",
          "leave working_dir out: code comes with the bundle"),
    cause("payload", _SAID, r"(?m)^(\(\w+ pid=\d+[^)]*\) )?error: (?P<what>[^\n]+)", "the program says: {what}",
          "what its sentence says; the same `pulumi up` then tries again"),
    # The last exception of the log: Python prints those that led to it before.
    cause("raised", "log", r"(?:[\s\S]*\n)?(?P<what>[A-Za-z_][\w.]*(?:Error|Exception|Interrupt)(?:: [^\n]*)?)(?=\n|$)",
          "the program ended with {what}", "mend it; kubectl logs has the traceback"),
)  # fmt: skip

RUNS: tuple[Cause, ...] = (
    cause("run-invalid", "run", r"ValidationFailed \w*: (?P<what>.*)|InvalidRayJob(Spec|Metadata|Status): (?P<also>.*)",
          "KubeRay refuses the run for good: {what}{also}",
          "correct it and replace the RayJob (`pulumi up --replace`): an edit does not leave this state"),
    cause("run-never-submitted", "run", r"\[submissionMode (?!K8sJobMode|HTTPMode|InteractiveMode"
          r"|SidecarMode)(?P<what>\S*)\]",
          "submissionMode {what} is none, and KubeRay takes it without a word: the cluster starts and nothing is "
          "submitted",
          "use K8sJobMode"),
    cause("run-by-hand", "run", r"Waiting .*\[submissionMode InteractiveMode\]", "the run waits to be submitted "
          "by hand",
          "use K8sJobMode"),
    cause("run-not-started", "run", r"PreRunningDeadlineExceeded",
          "the run's pods were not there within preRunningDeadlineSeconds",
          "see why its pods did not start (`kubectl describe pod`); capacity is asked for again with each attempt"),
    cause("run-too-long", "run", r"Failed DeadlineExceeded", "the run took longer than activeDeadlineSeconds",
          "raise manta:deadlineSeconds, or look for what it waited for; it goes on from its last checkpoint"),
    cause("run-not-submitted", "run", r"Failed SubmissionFailed", "the submitter could not hand the program to Ray",
          "read its log: a runtime environment that cannot be made, or a head that does not answer"),
    cause("run-ended-early", "run", r"JobDeploymentStatusTransitionGracePeriodExceeded",
          "KubeRay lost sight of the run's state", "`make up` (or --replace) starts it again from its last checkpoint"),
    cause("run-failed", "run", r"Failed AppFailed", "the program ended with an error", "read the last lines of "
          "its log"),
    cause("run-stuck", "stuck", r"ray\.io/rayjob-finalizer",
          "KubeRay wants to stop the run before it lets it go, and cannot: its token's Secret is gone, or the operator",
          "is the operator running? If the Secret of authOptions is gone, make it again with any value under "
          "auth_token"),
    cause("stuck", "stuck", r"finalizers (?P<what>.+)", "its deletion waits for {what}",
          "look at the log of the controller that owns it before you take a finalizer away"),
    cause("never-rolled", "endpoint", r"NewClusterWithIncrementalUpgrade",
          "KubeRay 1.6 takes this upgrade strategy with its gate off and then rolls no change out",
          "use NewCluster, or switch the gate RayServiceIncrementalUpgrade on"),
    cause("endpoint-invalid", "endpoint create", r"InvalidRay(Service|Cluster)(Spec|Metadata): (?P<what>.*)",
          "KubeRay refuses it: {what}", "correct it; infra.ray.rules says the same before an update"),
    cause("endpoint-timeout", "endpoint", r"RayServiceInitializingTimeout|InitializingTimeout",
          "the endpoint was not ready within ray.io/initializing-timeout", "see its pods, then replace it"),
    cause("serve-config-refused", "endpoint", r"FailedToUpdateServeApplications: .*(status code|400|invalid"
          r"|validation)",
          "Ray Serve refuses the configuration", "correct serveConfigV2; the head's dashboard log names the key"),
    cause("serve-head-busy", "endpoint", r"FailedToUpdateServeApplications: .*(deadline exceeded|refused"
          r"|no such host|timeout)",
          "the operator does not reach the head's dashboard",
          "a head that is still starting answers later; else NetworkPolicies keep 8265 closed to the operator"),
    cause("serve-failed", "endpoint", r"(DEPLOY_FAILED|UNHEALTHY) (?P<name>\S+): (?P<what>[^\n]+)",
          "application or deployment {name} does not start: {what}",
          "read the log of its replica in a worker pod (serve logs); the old version goes on answering"),
)  # fmt: skip
