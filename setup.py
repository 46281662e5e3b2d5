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
    package_data={"nnunet_textguided": ["py.typed"]},
    # Every lower bound was installed and tested: tools/check_dependencies.py
    install_requires=[
        "nnunetv2>=2.8.1,<2.9",
        "torch>=2.6",  # before, weights_only=True could be made to run code (CVE-2025-32434)
        "timm>=1.0.21,<1.0.23",
        "open_clip_torch>=3.0",
        "dynamic-network-architectures>=0.4.4",
        "SimpleITK>=2.5.4",
        "batchgenerators>=0.25.1",
        "batchgeneratorsv2>=0.3.2",
        "pydicom>=3.0",
        "safetensors>=0.4.2",
        "huggingface_hub>=0.25",
        "matplotlib>=3.8",
        "MedPy>=0.5.2",
        "numpy>=1.26",
        "lightning-fabric>=2.4",
        "openpyxl>=3.1",
        "pandas>=2.1",
        "scikit-learn>=1.3",
        "scipy>=1.11",
        "setuptools>=68",  # triton of torch 2.6 imports it and does not say so; nnU-Net then finds no trainer
        "submitit>=1.5",
        "tqdm>=4.60",
    ],
    extras_require={
        "test": [
            "hypothesis>=6.100",
            "mypy>=2.4,<3",
            "pytest>=7.4",
            "pytest-cov>=5",
            "pytest-timeout>=2.1",
            "pytest-xdist>=3.5",
            "ruff>=0.17",
        ]
    },
    entry_points={"console_scripts": ["nnunet_textguided = nnunet_textguided.cli.main:main"]},
)
