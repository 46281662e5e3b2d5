"""Installation of nnunet_textguided."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
VERSION = re.search(r'__version__ = "([^"]+)"', (ROOT / "nnunet_textguided" / "__init__.py").read_text()).group(1)

setup(
    name="nnunet_textguided",
    version=VERSION,
    description="Text-guided medical image segmentation inside nnU-Net v2: class names are the queries.",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8") if (ROOT / "README.md").exists() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["nnunet_textguided", "nnunet_textguided.*"]),
    install_requires=[
        "nnunetv2>=2.8.1,<2.9",
        "torch>=2.2",
        "timm>=1.0.15,<1.0.23",
        "open_clip_torch>=2.32",
        "dynamic-network-architectures>=0.4.1",
        "SimpleITK>=2.2.1",
        "batchgenerators>=0.25.1",
        "pydicom>=3.0",
        "safetensors>=0.4",
        "huggingface_hub",
        "matplotlib",
        "MedPy>=0.5.2",
        "numpy",
        "lightning-fabric>=2.4",
        "openpyxl",
        "pandas",
        "scikit-learn",
        "scipy",
        "submitit>=1.5",
        "tqdm",
    ],
    extras_require={"test": ["pytest>=7", "pytest-timeout", "ruff"]},
    entry_points={"console_scripts": ["nnunet_textguided = nnunet_textguided.cli.main:main"]},
)
