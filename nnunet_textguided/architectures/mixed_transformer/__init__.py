"""Mixed Transformer U-Net (Wang et al., ICASSP 2022, arXiv 2111.04734), a baseline.

Written anew from what the published code computes (github.com/Dootmaan/MT-UNet). What differs:

- Any image size: padded by its border, position table interpolated where its grid is another, grids padded to whole
  windows by their border (published: 224 x 224 only, padded with zeros).
- Any number of image channels (published: one channel is repeated three times).
- No parameter that cannot matter. Left out are the output projection of the global attention, which the published code
  makes and never calls (3,806,720 parameters; DistributedDataParallel refuses such), and offsets that a softmax or a
  batch norm takes away again (40,970). The function is the same; 75.2 instead of 79.1 million parameters at the
  published setting.
- The Gaussian's decay is learned as a logarithm, so it stays positive.

Shapes in docstrings: B batch, C channels, H W height width; tokens are channels last.
"""

from nnunet_textguided.architectures.mixed_transformer.network import MixedTransformerUNet, mixed_transformer_unet
from nnunet_textguided.architectures.mixed_transformer.spec import MixedTransformerSpec, patch_spec, published_spec

__all__ = ["MixedTransformerSpec", "MixedTransformerUNet", "mixed_transformer_unet", "patch_spec", "published_spec"]
