"""The enums of the contracts that several services read: the word behind each number, and back."""

from typing import Final

from payments.core.v1 import payment_method_pb2, payment_terms_pb2

from services.kernel.context import CaptureMethod, CardNetwork, PaymentMethod, SplitPolicy

METHODS: Final = {
    payment_method_pb2.PaymentMethod.Value(f"PAYMENT_METHOD_{method.name}"): method
    for method in PaymentMethod
}
NETWORKS: Final = {
    payment_method_pb2.CardNetwork.Value(f"CARD_NETWORK_{network.name}"): network
    for network in CardNetwork
}
CAPTURE_METHODS: Final = {
    payment_terms_pb2.CaptureMethod.Value(f"CAPTURE_METHOD_{method.name}"): method
    for method in CaptureMethod
}
SPLIT_POLICIES: Final = {
    payment_terms_pb2.SplitPolicy.Value(f"SPLIT_POLICY_{policy.name}"): policy
    for policy in SplitPolicy
}
METHOD_NUMBERS: Final = {method: number for number, method in METHODS.items()}
NETWORK_NUMBERS: Final = {network: number for number, network in NETWORKS.items()}
CAPTURE_NUMBERS: Final = {method: number for number, method in CAPTURE_METHODS.items()}
SPLIT_NUMBERS: Final = {policy: number for number, policy in SPLIT_POLICIES.items()}
