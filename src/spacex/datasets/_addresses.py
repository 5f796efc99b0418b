"""URLs and published checksums of public sections."""

from __future__ import annotations

from typing import NamedTuple


class Remote(NamedTuple):
    """A file to download: its URL, its path below the folder of the section, and its SHA-256 if published."""

    url: str
    to: str
    sha256: str | None = None


# Maynard et al. 2021, doi:10.1038/s41593-020-00787-0: bucket of the authors' package spatialLIBD and repository of the
# paper. No checksums are published.
DLPFC_BUCKET = "https://spatial-dlpfc.s3.us-east-2.amazonaws.com"
DLPFC_REPOSITORY = "https://raw.githubusercontent.com/LieberInstitute/HumanPilot/master/10X"
DLPFC_SECTIONS = (
    *("151507", "151508", "151509", "151510"),
    *("151669", "151670", "151671", "151672"),
    *("151673", "151674", "151675", "151676"),
)


def dlpfc_files(section: str) -> list[Remote]:
    """Return the files of a section, with paths as in Space Ranger output."""
    return [
        Remote(f"{DLPFC_BUCKET}/h5/{section}_filtered_feature_bc_matrix.h5", "filtered_feature_bc_matrix.h5"),
        Remote(f"{DLPFC_REPOSITORY}/{section}/tissue_positions_list.txt", "spatial/tissue_positions_list.csv"),
        Remote(f"{DLPFC_REPOSITORY}/{section}/scalefactors_json.json", "spatial/scalefactors_json.json"),
        Remote(f"{DLPFC_BUCKET}/images/{section}_tissue_lowres_image.png", "spatial/tissue_lowres_image.png"),
    ]


def dlpfc_layers() -> Remote:
    """Return the file with the layers of all sections: columns barcode, section and layer, without header."""
    return Remote(f"{DLPFC_REPOSITORY}/barcode_level_layer_map.tsv", "barcode_level_layer_map.tsv")


# Sections of 10x Genomics, mirrored by scverse. URLs and checksums: squidpy 1.8.2, squidpy/datasets/datasets.yaml.
VISIUM_MIRROR = "https://exampledata.scverse.org/squidpy/10x_genomics"
VISIUM = {  # SHA256 of the counts and of the archive with positions, scale factors and images
    "V1_Adult_Mouse_Brain": (
        "eb78379e02dcf48036abf05b67233e73ecb0d880787feb82f76ff16f6ce01eb3",
        "46d6b05ba740f232d6bf4b27b9a8846815851e000985fb878f1364bab04e5bd4",
    ),
    "V1_Adult_Mouse_Brain_Coronal_Section_1": (
        "005cecf7aed6704c8a29f446e6cb092a9db960b39cf312720ff0238ef94cca81",
        "96c5d31c3c8e9639e5545dcb4494580cbe8f7e0b63ca92476c800d332796e0f2",
    ),
    "V1_Mouse_Brain_Sagittal_Anterior": (
        "56078d8d6fe6c13de248fdb1c518b691cdef78fb00021b659786b4a47c6656d5",
        "5f41a803e2bd69fa4dfca6abc8fa2d4e0d76aeb6c72d7038a5fdcf9cc50a36f8",
    ),
    "V1_Mouse_Brain_Sagittal_Anterior_Section_2": (
        "6ffcca5979b722f7f112202a9a8273cdad60a2b40ba4f651d465fbba577b5a5c",
        "0fa49dd44835e0a77c4f24653abe6092c0a164c594696540ee3d9e2eee2e34a2",
    ),
    "V1_Mouse_Brain_Sagittal_Posterior": (
        "df962209143860488bd679ff7a1b3bb14985208d0929fb814934ba7571c488b6",
        "b878d7eaca487ffc17224a870f86599abf9d45a99033c1ef65661ff119cef0d5",
    ),
    "V1_Mouse_Kidney": (
        "5e0b1d1c51c4e8759cd623d212573e1c28daf95d66e0d25a8e4488f6bed3831a",
        "91570548eae3d2bcf738af45e9dc463547a01669841db43ff20afb41b7cc0539",
    ),
    "V1_Human_Heart": (
        "a7274ea2ff2717693b200e614c288c174f02925b6d82c98221871a08e52d415b",
        "f2033b6ec4c13dcaf75386d4de3e86cb3357e15fe0eaa2be7037c3d3f0194188",
    ),
    "V1_Human_Lymph_Node": (
        "86fd533eb907450e7125b9820183a0ca73776eeafcc5eddae5695b6aabfd9139",
        "812808883366ff9623dc8354847a7211b0d922b2bfc4c9359d6e12e993ea6a73",
    ),
    "V1_Breast_Cancer_Block_A_Section_1": (
        "b3cbb6ead60afad848ebcc07a34835613d9d2d79e416ad8300b210d9de584b65",
        "415530a9d31172f63fd358d5d1cefb0798698ef9c0e614f52825894cd45c61bf",
    ),
    "V1_Breast_Cancer_Block_A_Section_2": (
        "e325b4e53f0036a71904cea6b7cd65945f10c25cf2ef8e2f681de9ac1ff7766c",
        "15fcf837478bcba847b50e393b016f95f02067ea930e81f96b103f2a14bf6db0",
    ),
}


def visium_files(section: str) -> list[Remote]:
    """Return the counts of a section and the archive of its ``spatial/`` folder."""
    counts, spatial = VISIUM[section]
    prefix = f"{VISIUM_MIRROR}/{section}/{section}"
    return [
        Remote(f"{prefix}_filtered_feature_bc_matrix.h5", "filtered_feature_bc_matrix.h5", counts),
        Remote(f"{prefix}_spatial.tar.gz", "spatial.tar.gz", spatial),
    ]
