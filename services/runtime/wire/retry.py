"""How often and how long to try again, as a message."""

from payments.core.v1 import payment_terms_pb2

from services.kernel.retry import RetryPolicy
from services.runtime.wire.moments import duration


def retry_policy_message(policy: RetryPolicy | None) -> payment_terms_pb2.RetryPolicy | None:
    """The policy as a field holds it, which is left out where there is none."""
    if policy is None:
        return None
    return payment_terms_pb2.RetryPolicy(
        max_tries=policy.max_tries,
        initial_backoff=duration(policy.initial_backoff),
        max_backoff=duration(policy.max_backoff),
        backoff_growth_percent=policy.backoff_growth_percent,
        jitter_percent=policy.jitter_percent,
    )
