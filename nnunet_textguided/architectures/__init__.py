"""The network: ConvNeXt V2 encoder, pixel decoder, and a query decoder whose queries are class names.

`MultiTaskUNet` and `FindingHead` are for what it is compared with.

Shapes in docstrings: B batch, C channels, D H W depth height width, N class vectors, Q queries (background first), T
image tokens. Levels k = 0..5 have in-plane strides 2**k.
"""

from nnunet_textguided.architectures.build import build_text_guided_network
from nnunet_textguided.architectures.encoder_names import check_encoder_name, list_encoders
from nnunet_textguided.architectures.finding_head import FindingHead
from nnunet_textguided.architectures.multi_task_unet import MultiTaskUNet, multi_task_unet
from nnunet_textguided.architectures.spec import NetworkSpec, supervised_strides
from nnunet_textguided.architectures.text_guided_network import TextGuidedNetwork
from nnunet_textguided.architectures.weights import check_encoder_file, load_encoder_weights

__all__ = [
    "FindingHead",
    "MultiTaskUNet",
    "NetworkSpec",
    "TextGuidedNetwork",
    "build_text_guided_network",
    "check_encoder_file",
    "check_encoder_name",
    "list_encoders",
    "load_encoder_weights",
    "multi_task_unet",
    "supervised_strides",
]
