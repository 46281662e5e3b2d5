"""The network: ConvNeXt V2 encoder, pixel decoder, and a query decoder whose queries are class names.

Shapes in docstrings: B batch, C channels, D H W depth height width, N class vectors, Q queries (background first), T
image tokens. Levels k = 0..5 have in-plane strides 2**k.
"""

from nnunet_textguided.architectures.build import build_text_guided_network
from nnunet_textguided.architectures.encoder_names import check_encoder_name, list_encoders
from nnunet_textguided.architectures.spec import NetworkSpec, supervised_strides
from nnunet_textguided.architectures.text_guided_network import TextGuidedNetwork
from nnunet_textguided.architectures.weights import check_encoder_file, load_encoder_weights

__all__ = [
    "NetworkSpec",
    "TextGuidedNetwork",
    "build_text_guided_network",
    "check_encoder_file",
    "check_encoder_name",
    "list_encoders",
    "load_encoder_weights",
    "supervised_strides",
]
